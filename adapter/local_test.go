package adapter_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
)

// A model of rooms, too simple to be wrong.
type model map[adapter.SocketID]map[adapter.Room]bool

func (m model) selected(t adapter.Target) (ids []adapter.SocketID) {
	inAny := func(id adapter.SocketID, rooms []adapter.Room) bool {
		return slices.ContainsFunc(rooms, func(r adapter.Room) bool { return m[id][r] })
	}
	for id := range m {
		if (len(t.Rooms) == 0 || inAny(id, t.Rooms)) && !inAny(id, t.Except) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Whatever joins and leaves what, the same sockets are selected as by a model,
// each once; those of few rooms and of many, by few rooms and by many.
func TestSelectionAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		l := adapter.NewLocal()
		m := make(model)
		var sockets []*adaptertest.Socket
		names := make([]adapter.Room, 150)
		for i := range names {
			names[i] = adapter.Room(fmt.Sprint("r", i))
		}
		for range 20 {
			s := adaptertest.NewSocket(l)
			sockets = append(sockets, s)
			names = append(names, adapter.Room(s.ID()))
		}
		some := func(upto int) (rooms []adapter.Room) {
			for range random.IntN(upto + 1) {
				rooms = append(rooms, names[random.IntN(len(names))]) // some of them twice
			}
			return rooms
		}
		for step := range 400 {
			s := sockets[random.IntN(len(sockets))]
			switch random.IntN(8) {
			case 0, 1:
				rooms := some(3)
				l.Add(s, rooms...)
				m[s.ID()] = map[adapter.Room]bool{adapter.Room(s.ID()): true}
				for _, r := range rooms {
					m[s.ID()][r] = true
				}
			case 2:
				l.Remove(s.ID())
				delete(m, s.ID())
			case 3:
				rooms := some(60)
				l.Leave(s.ID(), rooms...)
				if m[s.ID()] != nil {
					for _, r := range rooms {
						m[s.ID()][r] = m[s.ID()][r] && r == adapter.Room(s.ID())
					}
				}
			default:
				rooms := some([]int{2, 120}[random.IntN(2)])
				l.Join(s.ID(), rooms...)
				if m[s.ID()] != nil {
					for _, r := range rooms {
						m[s.ID()][r] = true
					}
				}
			}
			target := adapter.Target{Rooms: some([]int{1, 3, 40}[random.IntN(3)]), Except: some([]int{0, 2, 20}[random.IntN(3)])}
			infos, err := l.Fetch(t.Context(), target)
			var got []adapter.SocketID
			for _, i := range infos {
				got = append(got, i.ID)
				maps.DeleteFunc(m[i.ID], func(_ adapter.Room, in bool) bool { return !in })
				if want := slices.Sorted(maps.Keys(m[i.ID])); !slices.Equal(i.Rooms, want) {
					t.Fatalf("seed %d, step %d: %s is in %q, want %q", seed, step, i.ID, i.Rooms, want)
				}
			}
			slices.Sort(got)
			if want := m.selected(target); err != nil || !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: %+v selects %q, want %q (%v)", seed, step, target, got, want, err)
			}
		}
	}
}
