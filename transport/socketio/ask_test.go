package socketio_test

import (
	"bytes"
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

// asked is what EmitWithAck returned.
type asked struct {
	answers []string // the first argument of each, sorted
	err     error
}

func emitWithAck(ctx context.Context, e socketio.Emitter, args ...any) <-chan asked {
	done := make(chan asked, 1)
	go func() { // ends with ctx
		var a asked
		a.answers, a.err = socketio.EmitWithAcks[string](ctx, e, "ask", args...)
		slices.Sort(a.answers)
		done <- a
	}()
	return done
}

// ackTo reads an event that asks for an answer, and returns its ack id.
func ackTo(t *testing.T, c *socketiotest.Client, prefix, rest string) string {
	t.Helper()
	frame := c.Read()
	id, begins := strings.CutPrefix(frame, prefix)
	id, ends := strings.CutSuffix(id, rest)
	if !begins || !ends {
		t.Fatalf("got %q, want %s…%s", frame, prefix, rest)
	}
	return id
}

func TestBroadcastWithAck(t *testing.T) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n, " nodes"), func(t *testing.T) {
			ios, urls, _ := serveNodes(t, n, socketio.Options{}, func(io *socketio.Server) { io.Of("/chat") })
			var clients []*socketiotest.Client
			for i := range 4 {
				c := socketiotest.Dial(t, urls[i%n])
				c.Join("/chat,")
				clients = append(clients, c)
			}
			chat := ios[0].Of("/chat")
			// The namespaces' counters differ between nodes from now on.
			done := emitWithAck(t.Context(), ios[n-1].Of("/chat").Local(), 0)
			for i, c := range clients {
				if i%n == n-1 {
					c.Send("43/chat," + ackTo(t, c, "42/chat,", `["ask",0]`) + `["x"]`)
				}
			}
			if a := within(t, done, "answers"); a.err != nil || len(a.answers) != 4/n {
				t.Fatalf("locally: got %q, %v", a.answers, a.err)
			}

			done = emitWithAck(t.Context(), chat.Compress(false), 1, "two")
			for i, c := range clients {
				id := ackTo(t, c, "42/chat,", `["ask",1,"two"]`)
				c.Send(fmt.Sprintf(`43/chat,%s["%d"]`, id, i))
				c.Send(fmt.Sprintf(`43/chat,%s["twice"]`, id))
			}
			if a := within(t, done, "answers"); a.err != nil || !slices.Equal(a.answers, []string{"0", "1", "2", "3"}) {
				t.Errorf("got %q, %v", a.answers, a.err)
			}

			// Binary, both ways.
			binary := make(chan []socketio.Args, 1)
			go func() {
				args, err := chat.EmitWithAck(t.Context(), "ask", []byte("ping"))
				if err != nil {
					t.Error(err)
				}
				binary <- args
			}()
			for _, c := range clients {
				id := ackTo(t, c, "451-/chat,", `["ask",{"_placeholder":true,"num":0}]`)
				c.Want("b:ping")
				c.Send(`462-/chat,` + id + `[{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]`)
				c.SendBinary([]byte("zero"))
				c.SendBinary([]byte("one"))
			}
			answers := within(t, binary, "answers")
			for _, args := range answers {
				var object struct{ A socketio.Binary }
				var plain []byte
				if err := args.Bind(&object, &plain); err != nil || !bytes.Equal(object.A, []byte("one")) || string(plain) != "zero" {
					t.Errorf("got %q and %q, %v", object.A, plain, err)
				}
			}
			if len(answers) != 4 {
				t.Errorf("got %d answers", len(answers))
			}

			// Nobody to ask: no wait.
			for _, e := range []socketio.Emitter{chat.To("nobody"), ios[0].Of("/empty").Local()} {
				if a := within(t, emitWithAck(context.Background(), e), "answers"); a.err != nil || len(a.answers) != 0 {
					t.Errorf("nobody: got %q, %v", a.answers, a.err)
				}
			}
		})
	}
}

// What is missing comes as an error beside what is there.
func TestBroadcastWithAckIsPartial(t *testing.T) {
	ios, urls, buses := serveNodes(t, 2, socketio.Options{}, nil)
	var clients []*socketiotest.Client
	for i := range 4 {
		c := socketiotest.Dial(t, urls[i%2])
		c.Join("")
		clients = append(clients, c)
	}
	n := ios[0].Of("/")
	answer := func(ask string, texts ...string) (ids []string) {
		for i, c := range clients {
			id := ackTo(t, c, "42", ask)
			ids = append(ids, id)
			if texts[i] != "" {
				c.Send("43" + id + `["` + texts[i] + `"]`)
			}
		}
		return ids
	}
	missing := func(a asked, texts ...string) []adapter.Missing {
		t.Helper()
		partial, ok := errors.AsType[*adapter.PartialError](a.err)
		if !ok || !slices.Equal(a.answers, texts) {
			t.Fatalf("got %q, %v; want %q and a PartialError", a.answers, a.err, texts)
		}
		return partial.Missing
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	done := emitWithAck(ctx, n.To())
	ids := answer(`["ask"]`, "0", "1", "2", "")
	m := missing(within(t, done, "end"), "0", "1", "2")
	if len(m) != 1 || m[0].Node != "n1" || m[0].Sockets != 1 || !errors.Is(m[0].Err, adapter.ErrSilent) || !errors.Is(m[0].Err, context.DeadlineExceeded) {
		t.Errorf("silent: got %+v", m)
	}
	clients[3].Send("43" + ids[3] + `["too late"]`)

	// An answer that is no string is left out, and said.
	done = emitWithAck(t.Context(), n.To())
	for i, c := range clients {
		c.Send("43" + ackTo(t, c, "42", `["ask"]`) + []string{`["a"]`, `[]`, `[3]`, `["b"]`}[i])
	}
	if a := within(t, done, "end"); a.err == nil || !slices.Equal(a.answers, []string{"", "a", "b"}) {
		t.Errorf("got %q, %v", a.answers, a.err)
	}

	// A client that goes is not waited for, however it goes; nor is a node.
	done = emitWithAck(t.Context(), n.To())
	answer(`["ask"]`, "0", "", "2", "")
	clients[1].Vanish()
	clients[3].Send("41")
	m = missing(within(t, done, "end"), "0", "2")
	if len(m) != 1 || m[0].Node != "n1" || m[0].Sockets != 2 || !errors.Is(m[0].Err, adapter.ErrGone) {
		t.Errorf("gone: got %+v", m)
	}
	clients[1] = socketiotest.Dial(t, urls[1])
	clients[1].Join("")
	clients[3].Join("")
	done = emitWithAck(t.Context(), n.To())
	answer(`["ask"]`, "0", "", "2", "")
	go buses[1].Close()
	m = missing(within(t, done, "end"), "0", "2")
	if len(m) != 1 || m[0].Node != "n1" || m[0].Sockets != 2 || !errors.Is(m[0].Err, broker.ErrNodeDown) {
		t.Errorf("node down: got %+v", m)
	}
}

func TestRemoteSocketEmitWithAck(t *testing.T) {
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, nil)
	c := socketiotest.Dial(t, urls[1])
	c.Join("")
	sockets, err := ios[0].Of("/").FetchSockets(t.Context())
	if err != nil || len(sockets) != 1 {
		t.Fatalf("got %d sockets, %v", len(sockets), err)
	}
	type result struct {
		args socketio.Args
		err  error
	}
	ask := func() <-chan result {
		done := make(chan result, 1)
		go func() {
			args, err := sockets[0].EmitWithAck(t.Context(), "ask")
			done <- result{args, err}
		}()
		return done
	}
	done := ask()
	c.Send("43" + ackTo(t, c, "42", `["ask"]`) + `["yes",1]`)
	var yes string
	if r := within(t, done, "answer"); r.err != nil || len(r.args) != 2 || r.args.Bind(&yes) != nil || yes != "yes" {
		t.Errorf("got %v, %v", r.args, r.err)
	}
	done = ask()
	c.Read()
	c.Vanish()
	for range 2 { // gone while it is asked, and before
		if r := within(t, done, "answer"); !errors.Is(r.err, socketio.ErrDisconnected) {
			t.Errorf("got %v, %v; want ErrDisconnected", r.args, r.err)
		}
		done = ask()
	}
}

// A handler may ask its own client, and all others.
func TestHandlerAsksAll(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		socketio.Reply(n, "go", func(ctx context.Context, _ *socketio.Socket, _ struct{}) ([]string, error) {
			return socketio.EmitWithAcks[string](ctx, n.To(), "ask")
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	c.Send(`427["go"]`)
	c.Send("43" + ackTo(t, c, "42", `["ask"]`) + `["me"]`)
	c.Want(`437[["me"]]`)
}
