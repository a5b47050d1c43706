package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// record is what a test has seen so far.
type record struct {
	mu   sync.Mutex
	seen []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf(format, args...))
}

// want compares what was seen since the last call.
func (r *record) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.seen, want) {
		t.Errorf("saw %q, want %q", r.seen, want)
	}
	r.seen = nil
}

func TestCatchAllIn(t *testing.T) {
	var saw record
	_, url := serve(t, socketio.Options{Hooks: socketio.Hooks{
		EventRefused: func(namespace, event string, err error) { saw.add("refused %s%s: %v", namespace, event, err) },
		Unhandled:    func(namespace, event string) { saw.add("unhandled %s%s", namespace, event) },
	}}, func(io *socketio.Server) {
		n := io.Of("/")
		n.UseEvent(func(_ context.Context, _ *socketio.Socket, e *socketio.Event) error {
			saw.add("use %s", e.Name)
			switch e.Name {
			case "forbidden":
				return socketio.Errorf("forbidden", "not you")
			case "broken":
				return errors.New("secret")
			case "panic":
				panic("oops")
			}
			return nil
		})
		n.UseEvent(func(context.Context, *socketio.Socket, *socketio.Event) error {
			saw.add("use again")
			return nil
		})
		n.OnAny(func(_ context.Context, s *socketio.Socket, e *socketio.Event) {
			saw.add("any %s %d", e.Name, len(e.Args))
			if e.Name == "answered" {
				e.Ack("by any")
			}
		})
		for _, event := range []string{"fine", "forbidden"} {
			n.Handle(event, func(context.Context, *socketio.Socket, *socketio.Event) error {
				saw.add("handler")
				return nil
			})
		}
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	c.Send(`421["fine",1,2]`)
	c.Want(`431[]`)
	saw.want(t, "any fine 2", "use fine", "use again", "handler")
	c.Send(`422["forbidden"]`)
	c.Want(`432[{"ok":false,"error":{"code":"forbidden","message":"not you"}}]`)
	saw.want(t, "any forbidden 0", "use forbidden", "refused /forbidden: forbidden: not you")
	c.Send(`423["broken"]`)
	c.Want(`433[{"ok":false,"error":{"code":"internal","message":"internal error"}}]`)
	saw.want(t, "unhandled /broken", "any broken 0", "use broken", "refused /broken: secret")
	c.Send(`424["panic"]`)
	c.Want(`434[{"ok":false,"error":{"code":"internal","message":"internal error"}}]`)
	saw.want(t, "unhandled /panic", "any panic 0", "use panic", "refused /panic: internal: internal error")
	c.Send(`425["answered"]`)
	c.Want(`435["by any"]`)
	c.Send(`426["fine"]`)
	c.Want(`436[]`)
	saw.want(t, "unhandled /answered", "any answered 0", "use answered", "use again", "any fine 0", "use fine", "use again", "handler")
}

func TestCatchAllOut(t *testing.T) {
	var saw record
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/chat[1")
		n.OnAnyOutgoing(func(s *socketio.Socket, event string, args socketio.Args) {
			var first string
			if err := args.Bind(&first); err != nil {
				t.Error(err)
			}
			saw.add("%s %s %d", event, first, len(args))
		})
		n.Handle("go", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			s.Emit("emit", "a", socketio.Binary("x"))
			s.Compress(false).EmitVolatile("volatile", "b")
			e.Ack("no event")
			n.Compress(false).Emit("broadcast", "c")
			return nil
		})
	})
	c, there := socketiotest.Dial(t, urls[0]), socketiotest.Dial(t, urls[1])
	c.Join("/chat[1,")
	there.Join("/chat[1,")
	c.Send(`42/chat[1,7["go"]`)
	got := []string{c.Read(), c.Read(), c.Read()}
	if strings.Contains(got[2], "volatile") {
		got = append(got, c.Read())
	}
	if got[0] != `451-/chat[1,["emit","a",{"_placeholder":true,"num":0}]` || got[1] != "b:x" || !strings.HasPrefix(got[len(got)-1], "43/chat[1,7") {
		t.Errorf("got %q", got)
	}
	c.Want(`42/chat[1,["broadcast","c"]`)
	there.Want(`42/chat[1,["broadcast","c"]`)
	saw.want(t, "emit a 2", "volatile b 1", "broadcast c 1", "broadcast c 1")

	done := make(chan error, 1)
	go func() {
		_, err := ios[0].Of("/chat[1").EmitWithAck(t.Context(), "ask", "d")
		done <- err
	}()
	for _, x := range []*socketiotest.Client{c, there} {
		x.Send("43/chat[1," + ackTo(t, x, "42/chat[1,", `["ask","d"]`) + "[]")
	}
	if err := within(t, done, "end"); err != nil {
		t.Error(err)
	}
	saw.want(t, "ask d 1", "ask d 1")
}

func (r *record) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// wantSorted is want for what several goroutines have seen.
func (r *record) wantSorted(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	slices.Sort(r.seen)
	r.mu.Unlock()
	r.want(t, want...)
}
