package socketio_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

func TestHooks(t *testing.T) {
	var saw record
	note := func(what string) func(string) {
		return func(namespace string) { saw.add("%s %s", what, namespace) }
	}
	ended := make(chan struct{}, 2)
	_, url := serve(t, socketio.Options{Hooks: socketio.Hooks{
		Connected:    note("connected"),
		Refused:      func(namespace string, err error) { saw.add("refused %s: %v", namespace, err) },
		Disconnected: func(namespace string, reason socketio.Reason) { saw.add("disconnected %s: %s", namespace, reason) },
		Received:     note("received"),
		Unhandled:    func(namespace, event string) { saw.add("unhandled %s %s", namespace, event) },
		Failed:       func(namespace, event string, err error) { saw.add("failed %s %s: %v", namespace, event, err) },
		Sent:         note("sent"),
		AckSent:      note("ack sent"),
		AckReceived:  note("ack received"),
		Violation:    func(err error) { saw.add("violation: %v", err) },
		Panicked:     func(v any) { saw.add("panicked: %v", v) },
	}}, func(io *socketio.Server) {
		n := io.Of("/")
		io.Of("/closed").Use(func(context.Context, *socketio.Socket) error { return errors.New("closed") })
		n.OnDisconnect(func(context.Context, *socketio.Socket, socketio.Reason) { ended <- struct{}{} })
		n.Handle("ask", func(ctx context.Context, s *socketio.Socket, _ *socketio.Event) error {
			_, err := s.EmitWithAck(ctx, "asked")
			return err
		})
		n.Handle("fail", func(context.Context, *socketio.Socket, *socketio.Event) error { return errors.New("disk full") })
		n.Handle("panic", func(context.Context, *socketio.Socket, *socketio.Event) error { panic("oops") })
		n.Handle("all", func(_ context.Context, s *socketio.Socket, _ *socketio.Event) error { return n.Emit("x") })
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	for _, refused := range []string{"/nowhere", "/closed"} {
		c.Send("40" + refused + ",")
		c.Read()
	}
	eventually(t, "hooks called", func() bool { return saw.len() == 3 })
	saw.wantSorted(t, "connected /", "refused /closed: closed", "refused /nowhere: socketio: no such namespace")
	c.Send(`421["ask"]`)
	c.Want(`420["asked"]`)
	c.Send(`430[]`)
	c.Send(`430[]`)
	c.Want(`431[]`)
	c.Send(`422["fail"]`)
	c.Read()
	c.Send(`423["panic"]`)
	c.Read()
	c.Send(`424["all"]`)
	c.Read()
	c.Read()
	eventually(t, "hooks called", func() bool { return saw.len() == 13 })
	saw.wantSorted(t, "ack received /",
		"ack sent /", "ack sent /", "ack sent /", "ack sent /",
		"failed / fail: disk full", "panicked: oops",
		"received /", "received /", "received /", "received /",
		"sent /", "sent /")
	c.Send(`42["unheard of"]`)
	c.Send(`42["disconnect"]`)
	within(t, ended, "end")
	saw.want(t, "received /", "unhandled / unheard of",
		"violation: socketio: invalid packet: reserved event name", "disconnected /: parse error")
}

// What is out of place ends all sockets of the connection by force.
func TestForcedServerClose(t *testing.T) {
	ends := make(chan socketio.Reason, 2)
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		for _, name := range []string{"/", "/chat"} {
			io.Of(name).OnDisconnect(func(_ context.Context, _ *socketio.Socket, reason socketio.Reason) { ends <- reason })
		}
	})
	for _, frame := range []string{`40`, `40/chat,`, `44"x"`, `42/other,["x"]`} {
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Join("/chat,")
		c.Send(frame)
		c.WantClosed()
		for range 2 {
			if reason := within(t, ends, "end"); reason != socketio.ReasonForced {
				t.Errorf("%s: reason %q, want %q", frame, reason, socketio.ReasonForced)
			}
		}
	}
}

// Every other reason that Socket.IO has, besides those of TestDisconnect.
func TestReasons(t *testing.T) {
	ends := make(chan socketio.Reason, 1)
	opts := socketio.Options{Engine: quick()}
	opts.Engine.MaxPayload = 1000
	io, url := serve(t, opts, func(io *socketio.Server) {
		io.Of("/").OnDisconnect(func(_ context.Context, _ *socketio.Socket, reason socketio.Reason) { ends <- reason })
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	c.Send(`42["` + strings.Repeat("x", 2000) + `"]`)
	if reason := within(t, ends, "end"); reason != "transport error" {
		t.Errorf("too large a frame: %q", reason)
	}
	c = socketiotest.Dial(t, url)
	c.Join("")
	io.Of("/").To().DisconnectSockets(true)
	if reason := within(t, ends, "end"); reason != socketio.ReasonServer {
		t.Errorf("DisconnectSockets: %q", reason)
	}
	c = socketiotest.Dial(t, url)
	c.Join("")
	io.Close()
	if reason := within(t, ends, "end"); reason != socketio.ReasonShutdown {
		t.Errorf("Close: %q", reason)
	}
}

func TestLocalSockets(t *testing.T) {
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, nil)
	n := ios[0].Of("/")
	var ids []string
	var clients []*socketiotest.Client
	for range 2 {
		c := socketiotest.Dial(t, urls[0])
		clients, ids = append(clients, c), append(ids, c.Join(""))
	}
	there := socketiotest.Dial(t, urls[1]).Join("")
	eventually(t, "all are in", func() bool { return n.Socket(ids[0]) != nil && n.Socket(ids[1]) != nil })
	var got []string
	for s := range n.Sockets() {
		got = append(got, s.ID())
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) || n.Socket(there) != nil {
		t.Errorf("got %q, want %q", got, ids)
	}
	n.Socket(ids[0]).Join("a", "b")
	n.Socket(ids[1]).Join("b")
	if got, want := n.Rooms(), map[string]int{"a": 1, "b": 2}; !maps.Equal(got, want) {
		t.Errorf("rooms %v, want %v", got, want)
	}
	for s := range n.Sockets() {
		s.Disconnect(true) // while ranging
	}
	for _, c := range clients {
		c.WantClosed()
	}
	for s := range n.Sockets() {
		t.Errorf("socket %s is left", s.ID())
	}
}
