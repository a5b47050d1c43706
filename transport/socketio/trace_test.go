package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// notes is a Tracer that writes down what it follows; the trace of an event is
// its name.
type notes struct {
	mu    sync.Mutex
	lines []string
}

type traceKey struct{}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notes) Receive(ctx context.Context, s *socketio.Socket, event string) (context.Context, func(error)) {
	return context.WithValue(ctx, traceKey{}, event), func(err error) { n.add("receive %s%s: %v", s.Namespace().Name(), event, err) }
}

func (n *notes) Inject(ctx context.Context) string {
	trace, _ := ctx.Value(traceKey{}).(string)
	return trace
}

func (n *notes) Emit(e socketio.Emission) (string, func(error)) {
	return e.Trace + ">", func(err error) {
		n.add("emit %s%s of %s to %v: %v", e.Namespace, e.Event, e.Trace, e.Target.Rooms, err)
	}
}

// A Tracer follows an event to its middlewares and Handler, and what they emit
// with their ctx, and nothing else.
func TestTracer(t *testing.T) {
	tracer := new(notes)
	done := make(chan struct{})
	_, urls, _ := serveNodes(t, 1, socketio.Options{Tracer: tracer}, func(io *socketio.Server) {
		n := io.Of("/")
		n.UseEvent(func(ctx context.Context, _ *socketio.Socket, e *socketio.Event) error {
			if got := tracer.Inject(ctx); got != e.Name && e.Name != "nobody's" {
				t.Errorf("a middleware got the trace %q, want %q", got, e.Name)
			}
			if e.Name == "refused" {
				return socketio.Errorf("no", "no")
			}
			return nil
		})
		n.Handle("refused", func(context.Context, *socketio.Socket, *socketio.Event) error { return nil })
		n.Handle("fails", func(context.Context, *socketio.Socket, *socketio.Event) error { panic("again") })
		n.Handle("all", func(ctx context.Context, s *socketio.Socket, _ *socketio.Event) error {
			_, err := n.To("b").Context(ctx).Deliver("two")
			_, asked := n.To("c").EmitWithAck(ctx, "three")
			return errors.Join(err, asked, n.Context(ctx).To("a").Emit("one"), s.Broadcast().To("a").Emit("untraced"))
		})
		n.Handle("last", func(context.Context, *socketio.Socket, *socketio.Event) error {
			close(done)
			return nil
		})
	})
	c := socketiotest.Dial(t, urls[0])
	c.Join("")
	for _, event := range []string{"nobody's", "refused", "fails", "all", "last"} {
		c.Send(`42["` + event + `"]`)
	}
	<-done
	tracer.mu.Lock()
	defer tracer.mu.Unlock()
	want := []string{
		"receive /refused: no: no",
		"receive /fails: internal: internal error",
		"emit /two of all to [b]: <nil>",
		"emit /three of all to [c]: <nil>",
		"emit /one of all to [a]: <nil>",
		"receive /all: <nil>",
	}
	if got := tracer.lines[:min(len(tracer.lines), len(want))]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Without a Tracer, Context costs nothing and is no obstacle.
func TestContextWithoutTracer(t *testing.T) {
	io := socketio.New(socketio.Options{})
	defer io.Close()
	e := io.Of("/").To("a")
	ctx := context.WithValue(t.Context(), traceKey{}, "x")
	if allocs := testing.AllocsPerRun(100, func() { e = e.Context(ctx) }); allocs != 0 {
		t.Errorf("got %v allocations, want none", allocs)
	}
	if err := e.Emit("one"); err != nil {
		t.Error(err)
	}
}
