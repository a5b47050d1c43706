package adaptertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// plain is a socket that costs little.
type plain struct {
	id   adapter.SocketID
	info []byte
}

func (p *plain) ID() adapter.SocketID         { return p.id }
func (p *plain) Deliver(*adapter.Packet) bool { return true }
func (p *plain) Disconnect(bool)              {}
func (p *plain) Info() []byte                 { return p.info }

// crowd adds as many plain sockets to a.
func crowd(a adapter.Adapter, size int) {
	info := []byte(strings.Repeat("about a socket ", 10))
	for range size {
		a.Add(&plain{a.NewID(), info}, "crowd")
	}
}

// A fetch of 100,000 sockets goes by, and all else goes on meanwhile.
func largeFetch(t *testing.T, r *rig) {
	const size = 50_000 // on each of two nodes
	n := r.start(3)
	for _, x := range n[1:] {
		crowd(x, size)
	}
	done := make(chan struct{})
	var infos []adapter.Info
	var err error
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	go func() {
		defer close(done)
		infos, err = n[0].Fetch(ctx, adapter.Target{Rooms: rooms("crowd")})
	}()
	// A socket's answer, there and back, between the pages.
	target := adapter.Target{Rooms: rooms(adapter.Room(n[1].socket.id))}
	between := 0
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
			start := time.Now()
			if answers, err := n[0].Ask(r.ctx(), target, packet("?")); err != nil || len(answers) != 1 {
				t.Fatalf("meanwhile: got %d answers, %v", len(answers), err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("meanwhile an answer took %v", took)
			}
			between++
		}
	}
	if err != nil || len(infos) != 2*size {
		t.Errorf("got %d sockets, %v; want %d", len(infos), err, 2*size)
	}
	if between < 5 {
		t.Errorf("only %d answers came while the sockets were fetched", between)
	}
	seen := make(map[adapter.SocketID]bool, len(infos))
	for _, i := range infos {
		seen[i.ID] = true
	}
	if len(seen) != 2*size {
		t.Errorf("got %d different sockets, want %d", len(seen), 2*size)
	}
}

// What came of a fetch that is given up is there, and nothing of it is kept.
func fetchGivenUp(t *testing.T, r *rig) {
	n := r.start(2)
	crowd(n[1], 20_000)
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	// One of the sockets ends it, when it is described.
	stop := &stopper{plain{n[1].NewID(), []byte("x")}, cancel}
	n[1].Remove(n[1].socket.id)
	crowd(n[1], 1)
	n[1].Add(stop, "crowd")
	crowd(n[1], 20_000)
	infos, err := n[0].Fetch(ctx, adapter.Target{Rooms: rooms("crowd")})
	partial, ok := errors.AsType[*adapter.PartialError](err)
	if !ok || len(partial.Missing) != 1 || partial.Missing[0].Node != "n1" {
		t.Errorf("got %v, want n1 missing", err)
	}
	if len(infos) == 0 || len(infos) > 30_000 {
		t.Errorf("got %d sockets, want those of the pages that came", len(infos))
	}
	if count, err := n[0].Count(r.ctx(), everybody); err != nil || count != 40_003 {
		t.Errorf("got %d, %v", count, err)
	}
}

type stopper struct {
	plain
	stop func()
}

func (s *stopper) Info() []byte {
	s.stop()
	return s.info
}

// A broadcast of 5 MB arrives whole, and nothing waits for it on other nodes
// or behind others' messages.
func largeBroadcast(t *testing.T, r *rig) {
	n := r.start(3)
	large := strings.Repeat("5 MB.", 1_000_000)
	must(t, n[0].Broadcast(everybody, packet("before")))
	must(t, n[0].Broadcast(everybody, packet(large)))
	must(t, n[0].Broadcast(everybody, packet("after")))
	start := time.Now()
	if _, err := n[1].Ask(r.ctx(), adapter.Target{Rooms: rooms(adapter.Room(n[2].socket.id))}, packet("meanwhile")); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("meanwhile an answer took %v", took)
	}
	for i, x := range n {
		var got []string
		r.until("the last packet", func() bool {
			got = append(got, x.socket.Take()...)
			return slices.Contains(got, "after")
		})
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "asked ") })
		if !slices.Equal(got, []string{"before", large, "after"}) {
			t.Errorf("n%d got %d packets, want 3 as they were sent", i, len(got))
		}
	}
}
