package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// missingNodes returns what err says is missing, by node.
func missingNodes(err error) map[string]error {
	nodes := make(map[string]error)
	if partial, ok := errors.AsType[*adapter.PartialError](err); ok {
		for _, m := range partial.Missing {
			nodes[m.Node] = m.Err
		}
	}
	return nodes
}

// A server-side emit is heard by the servers of every other node, in order,
// with its arguments as they were, binary included.
func TestServerSideEmit(t *testing.T) {
	heard := make(chan string, 1000)
	ios, _, _ := serveNodes(t, 3, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/chat")
		socketio.OnServer(n, "count", func(_ context.Context, node string, i int) error {
			heard <- fmt.Sprint(node, " ", i)
			return nil
		})
		n.HandleServer("mixed", func(_ context.Context, e *socketio.ServerEvent) error {
			var number int
			var text string
			var blob []byte
			if err := e.Args.Bind(&number, &text, &blob); err != nil {
				return err
			}
			heard <- fmt.Sprint(e.Node, " ", number, text, blob, e.WantsAck(), e.Ack("nobody asked"))
			return nil
		})
	})
	for i := range 100 {
		if err := ios[0].Of("/chat").ServerSideEmit("count", i); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]int{}
	for range 200 {
		var node string
		var i int
		fmt.Sscan(within(t, heard, "event"), &node, &i)
		last[fmt.Sprint(i)]++
	}
	for i := range 100 {
		if n := last[fmt.Sprint(i)]; n != 2 {
			t.Errorf("event %d was heard %d times, want 2: by each of the others once", i, n)
		}
	}
	if err := ios[1].Of("/chat").ServerSideEmit("mixed", 1, "2", []byte{3}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := within(t, heard, "event"); got != "n1 12[3] false <nil>" {
			t.Errorf("got %q", got)
		}
	}
	if err := ios[0].Of("/chat").ServerSideEmit("connect"); !errors.Is(err, socketio.ErrReserved) {
		t.Errorf("got %v, want ErrReserved", err)
	}
	if err := ios[0].Of("/elsewhere").ServerSideEmit("count", 1); err != nil {
		t.Errorf("a namespace of this node alone: %v", err)
	}
	if len(heard) > 0 {
		t.Errorf("heard %q, too", <-heard)
	}
}

// The order of one node's events is kept.
func TestServerSideEmitOrder(t *testing.T) {
	heard := make(chan int, 1000)
	ios, _, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		socketio.OnServer(io.Of("/"), "count", func(_ context.Context, _ string, i int) error {
			heard <- i
			return nil
		})
	})
	for i := range 500 {
		if err := ios[0].Of("/").ServerSideEmit("count", i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		if got := within(t, heard, "event"); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
}

// What each of the others acknowledges comes back under its name, and so does
// why there is none.
func TestServerSideEmitWithAck(t *testing.T) {
	release := make(chan struct{})
	ios, _, buses := serveNodes(t, 4, socketio.Options{}, nil)
	for i, io := range ios {
		n := io.Of("/")
		socketio.ReplyServer(n, "double", func(_ context.Context, node string, x int) (string, error) {
			return fmt.Sprint(node, " asks n", i, ": ", 2*x), nil
		})
		n.HandleServer("twice", func(_ context.Context, e *socketio.ServerEvent) error {
			return errors.Join(e.Ack("first", []byte{byte(i)}), e.Ack("second"))
		})
		if i == 3 {
			continue // an older version, say
		}
		n.HandleServer("mixed", func(_ context.Context, e *socketio.ServerEvent) error {
			switch i {
			case 1:
				e.Defer()
				go func() {
					<-release
					e.Ack("later")
				}()
				return nil
			}
			return errors.New("no more disk")
		})
		n.HandleServer("silence", func(_ context.Context, e *socketio.ServerEvent) error {
			e.Defer()
			if i == 2 {
				return e.Ack()
			}
			return nil
		})
		n.HandleServer("panic", func(context.Context, *socketio.ServerEvent) error { panic("oops") })
	}
	n := ios[0].Of("/")
	answers, err := n.ServerSideEmitWithAck(t.Context(), "double", 21)
	var got []string
	for _, a := range answers {
		var text string
		if err := a.Bind(&text); err != nil {
			t.Error(err)
		}
		got = append(got, a.Node+": "+text)
	}
	slices.Sort(got)
	want := []string{"n1: n0 asks n1: 42", "n2: n0 asks n2: 42", "n3: n0 asks n3: 42"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}

	answers, err = n.ServerSideEmitWithAck(t.Context(), "twice")
	if err != nil || len(answers) != 3 {
		t.Errorf("got %d answers, %v; want 3", len(answers), err)
	}
	for _, a := range answers {
		var text string
		var blob []byte
		if err := a.Bind(&text, &blob); err != nil || text != "first" || a.Node != fmt.Sprint("n", blob[0]) {
			t.Errorf("%s: got %q, %v, %v", a.Node, text, blob, err)
		}
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		answers, err = n.ServerSideEmitWithAck(t.Context(), "mixed")
	}()
	close(release)
	within(t, done, "answers")
	missing := missingNodes(err)
	if len(answers) != 1 || answers[0].Node != "n1" || len(missing) != 2 {
		t.Errorf("got %v, %v; want n1's answer, and n2 and n3 missing", answers, err)
	}
	for node, want := range map[string]string{"n2": "no more disk", "n3": `no handler for "mixed"`} {
		if refused, ok := errors.AsType[*broker.RefusedError](missing[node]); !ok || !strings.Contains(refused.Text, want) {
			t.Errorf("%s: got %v, want a refusal: %s", node, missing[node], want)
		}
	}

	_, err = n.ServerSideEmitWithAck(t.Context(), "panic")
	if refused, ok := errors.AsType[*broker.RefusedError](missingNodes(err)["n1"]); !ok || !strings.Contains(refused.Text, "internal error") {
		t.Errorf("got %v, want an internal error", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	answers, err = n.ServerSideEmitWithAck(ctx, "silence")
	missing = missingNodes(err)
	if len(answers) != 1 || answers[0].Node != "n2" || !errors.Is(missing["n1"], adapter.ErrSilent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v; want n2's answer, and n1 silent", answers, err)
	}

	// Who leaves is not waited for.
	left := make(chan struct{})
	go func() {
		defer close(left)
		answers, err = n.ServerSideEmitWithAck(t.Context(), "silence")
	}()
	buses[1].Close()
	within(t, left, "answers")
	if missing = missingNodes(err); len(answers) != 1 || missing["n1"] != nil && !errors.Is(missing["n1"], broker.ErrNodeDown) {
		t.Errorf("got %v, %v; want n2's answer, and n1 down", answers, err)
	}
}

// Alone there is nobody to tell, and nothing to wait for.
func TestServerSideEmitAlone(t *testing.T) {
	io, _ := serve(t, socketio.Options{}, nil)
	if err := io.Of("/").ServerSideEmit("x"); err != nil {
		t.Error(err)
	}
	if answers, err := io.Of("/").ServerSideEmitWithAck(t.Context(), "x"); err != nil || len(answers) > 0 {
		t.Errorf("got %v, %v", answers, err)
	}
}

// Handlers of other nodes' events are waited for by Close, which ends their
// context; those that come later are refused.
func TestServerSideEmitToWhoCloses(t *testing.T) {
	began := make(chan struct{})
	ios, _, _ := serveNodes(t, 2, socketio.Options{}, nil)
	var ended bool
	ios[1].Of("/").HandleServer("wait", func(ctx context.Context, e *socketio.ServerEvent) error {
		close(began)
		<-ctx.Done()
		ended = true
		return nil
	})
	if err := ios[0].Of("/").ServerSideEmit("wait"); err != nil {
		t.Fatal(err)
	}
	within(t, began, "event")
	if err := ios[1].Close(); err != nil {
		t.Fatal(err)
	}
	if !ended {
		t.Error("Close did not wait for a handler")
	}
	answers, err := ios[0].Of("/").ServerSideEmitWithAck(t.Context(), "wait")
	if err != nil || len(answers) != 0 {
		t.Errorf("got %v, %v; want nothing of a namespace that is closed", answers, err)
	}
}

// A flood that the handlers can't take is refused, and holds up nothing else.
func TestServerSideEmitFlood(t *testing.T) {
	release := make(chan struct{})
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		socketio.OnServer(io.Of("/"), "slow", func(context.Context, string, int) error {
			<-release
			return nil
		})
	})
	c := socketiotest.Dial(t, urls[1])
	c.Join("")
	n := ios[0].Of("/")
	for i := range 1100 {
		if err := n.ServerSideEmit("slow", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Emit("passes"); err != nil {
		t.Fatal(err)
	}
	c.Want(`42["passes"]`)
	_, err := n.ServerSideEmitWithAck(t.Context(), "slow", 1)
	if refused, ok := errors.AsType[*broker.RefusedError](missingNodes(err)["n1"]); !ok || !strings.Contains(refused.Text, "too many events") {
		t.Errorf("got %v, want a refusal", err)
	}
	close(release)
}

func TestAllRooms(t *testing.T) {
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		io.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) {
			s.Join("lobby", s.Handshake().URL.Query().Get("room"))
		})
	})
	for i := range 4 {
		c := socketiotest.Dial(t, urls[i%2])
		c.Join("")
	}
	for i := range 2 {
		for deadline := time.Now().Add(30 * time.Second); ; {
			rooms, err := ios[i].Of("/").AllRooms(t.Context())
			if err == nil && len(rooms) == 2 && rooms["lobby"] == 4 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("node %d: got %v, %v; want 4 in the lobby", i, rooms, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}
