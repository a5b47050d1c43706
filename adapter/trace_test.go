package adapter_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
)

// journal is what the hooks of several nodes saw.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	slices.Sort(lines) // nodes work at the same time
	return lines
}

// The hooks follow a packet that has a trace to the bus and to the sockets of
// each node, by all ways that there are, and no other packet.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen journal
		var nodes []adapter.Adapter
		for i, b := range openBuses(t, 2) {
			c := adapter.NewCluster(b, adapter.Options{Logger: quiet, Hooks: adapter.Hooks{
				Publish: func(p adapter.Passage) (string, func(error)) {
					return p.Trace + ">", func(err error) { seen.add("%d publish %q %s %v: %v", i, p.From, p.Trace, p.Target.Rooms, err) }
				},
				Deliver: func(p adapter.Passage) func(int) {
					return func(n int) {
						seen.add("%d deliver %q %s %v %v: %d", i, p.From, p.Trace, p.Target.Rooms, p.Target.Except, n)
					}
				},
			}})
			a := c.Namespace("/")
			for range 2 - i {
				s := adaptertest.NewSocket(a)
				s.AnswerAll("yes")
				a.Add(s, "r")
			}
			nodes = append(nodes, a)
		}
		a := nodes[0]
		target := adapter.Target{Rooms: []adapter.Room{"r"}, Except: []adapter.Room{"q"}}
		want := []string{
			`0 deliver "" t [r] [q]: 2`,
			`0 publish "" t [r]: <nil>`,
			`1 deliver "n0" t> [r] [q]: 1`,
		}
		for name, send := range map[string]func(p *adapter.Packet) error{
			"broadcast": func(p *adapter.Packet) error { return a.Broadcast(target, p) },
			"deliver": func(p *adapter.Packet) error {
				n, err := a.Deliver(target, p).Wait(t.Context())
				if n != 3 {
					t.Errorf("deliver: got %d sockets, want 3", n)
				}
				return err
			},
			"ask": func(p *adapter.Packet) error {
				answers, err := a.Ask(t.Context(), target, p)
				if len(answers) != 3 {
					t.Errorf("ask: got %d answers, want 3", len(answers))
				}
				return err
			},
		} {
			for trace, want := range map[string][]string{"t": want, "": nil} {
				if err := send(&adapter.Packet{Data: []byte("x"), Trace: trace}); err != nil {
					t.Error(name, err)
				}
				synctest.Wait()
				if got := seen.take(); !slices.Equal(got, want) {
					t.Errorf("%s with trace %q: got %q, want %q", name, trace, got, want)
				}
			}
		}
		target.Local = true
		if err := a.Broadcast(target, &adapter.Packet{Trace: "t"}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := seen.take(); !slices.Equal(got, want[:1]) {
			t.Errorf("locally: got %q, want %q", got, want[:1])
		}
	})
}
