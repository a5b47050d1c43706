package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// Events that are to be acknowledged have no offset, and are not sent again.
func TestRecoveryAndAcknowledgements(t *testing.T) {
	l := open(t, nil, func(io *socketio.Server) {
		socketio.Reply(io.Of("/"), "echo", func(_ context.Context, _ *socketio.Socket, text string) (string, error) { return text, nil })
	})
	g := arrive(t, l.url, "")
	s := <-l.sockets
	lost := make(chan error, 1)
	go func() {
		_, err := s.EmitWithAck(t.Context(), "ask", "text")
		lost <- err
	}()
	g.Want(`420["ask","text"]`)
	s.Emit("event", 1)
	l.cut(g)
	if err := <-lost; err == nil {
		t.Error("an acknowledgement came of a client that is gone")
	}
	if _, err := s.EmitWithAck(t.Context(), "ask"); err != socketio.ErrDisconnected {
		t.Errorf("asked a client that is away: %v", err)
	}
	g.Client = socketiotest.Dial(t, l.url)
	g.Send(`430["late"]`) // as clients do, before CONNECT
	g.connect(map[string]string{"pid": g.pid})
	g.wantEvents(`["event",1]`)
	s = <-l.sockets
	go func() {
		_, err := s.EmitWithAck(t.Context(), "again")
		lost <- err
	}()
	g.Want(`422["again"]`) // 1 was that of the one that was away
	g.Send(`432[]`)
	if err := <-lost; err != nil {
		t.Error(err)
	}
	g.Send(`427["echo","x"]`)
	g.Want(`437["x"]`)
}

// Binary is sent again whole.
func TestRecoveryOfBinary(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	s := <-l.sockets
	s.Emit("file", socketio.Binary("one"), "name")
	if head := g.Read(); !strings.HasPrefix(head, `451-["file",{"_placeholder":true,"num":0},"name","1`) {
		t.Fatalf("got %s", head)
	}
	l.cut(g) // before the attachment
	s.Emit("file", map[string]any{"f": socketio.Binary("two")})
	g.wantRecovered(true)
	for _, want := range []string{"one", "two"} {
		if head := g.Read(); !strings.HasPrefix(head, `451-["file",{"`) {
			t.Errorf("got %s", head)
		}
		g.Want("b:" + want)
	}
}

// With MessagePack it is the same.
func TestRecoveryMessagePack(t *testing.T) {
	parser := socketio.MessagePack()
	l := open(t, func(o *socketio.Options) { o.Parser = parser }, nil)
	d := parser.NewDecoder()
	c := socketiotest.Dial(t, l.url)
	connect := func(auth string) (said struct{ SID, PID string }) {
		t.Helper()
		packet := &socketio.Packet{Type: socketio.TypeConnect, Namespace: "/", ID: socketio.NoID, Args: []socketio.Raw{must(socketio.RawJSON([]byte(auth)))}}
		c.SendBinary(must(parser.Encode(packet))[0].Data)
		p := must(d.Decode(true, []byte(strings.TrimPrefix(c.Read(), "b:"))))
		if err := p.Args[0].Decode(&said); err != nil || said.PID == "" {
			t.Fatalf("answer to CONNECT: %+v, %v", said, err)
		}
		return said
	}
	event := func() (name string, blob []byte, offset string) {
		t.Helper()
		p := must(d.Decode(true, []byte(strings.TrimPrefix(c.Read(), "b:"))))
		if err := socketio.Args(p.Args).Bind(&name, &blob, &offset); err != nil || len(p.Args) != 3 {
			t.Fatalf("%d arguments: %v", len(p.Args), err)
		}
		return name, blob, offset
	}
	said := connect(`{}`)
	s := <-l.sockets
	s.Emit("a", []byte("one"))
	_, _, offset := event()
	c.Vanish()
	<-l.ends
	s.Emit("b", []byte("two"))
	c = socketiotest.Dial(t, l.url)
	if again := connect(`{"pid":"` + said.PID + `","offset":"` + offset + `","user":"x"}`); again != said {
		t.Errorf("got %+v, want %+v", again, said)
	}
	if name, blob, _ := event(); name != "b" || string(blob) != "two" {
		t.Errorf("got %s %q", name, blob)
	}
	if got := string(must(json.Marshal((<-l.sockets).Handshake().Auth))); got != `{"user":"x"}` {
		t.Errorf("auth is %s", got)
	}
}

// Clients of Socket.IO 2.x, beside others, get no offset.
func TestRecoveryBesideOldClients(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	s := <-l.sockets
	l.Pretend(3)
	old := socketiotest.Dial(t, l.url)
	old.Want("40")
	v3 := <-l.sockets
	l.Of("/").Emit("all", 1, socketio.Binary("x"))
	old.Want(`451-["all",1,{"_placeholder":true,"num":0}]`, "b:x")
	v3.Emit("direct", "text")
	old.Want(`42["direct","text"]`)
	if head := g.Read(); !strings.HasPrefix(head, `451-["all",1,{"_placeholder":true,"num":0},"1`) {
		t.Errorf("got %s", head)
	}
	g.Want("b:x")
	s.Emit("direct", 2)
	g.wantEvents(`["direct",2]`)
	old.Vanish()
	<-l.ends
	if l.counted().parked != 0 {
		t.Error("an old client's socket was parked")
	}
}

// Who looks at what is emitted sees it once, as it was emitted, whether the
// client is there or comes back for it.
func TestRecoveryAndOnAnyOutgoing(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	l := open(t, nil, func(io *socketio.Server) {
		io.Of("/").OnAnyOutgoing(func(s *socketio.Socket, event string, args socketio.Args) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprint(event, " ", string(must(json.Marshal(args)))))
		})
	})
	g := arrive(t, l.url, "")
	s := <-l.sockets
	s.Emit("a", 1)
	l.cut(g)
	s.Emit("b", 2)
	g.wantRecovered(true, `["a",1]`, `["b",2]`)
	mu.Lock()
	defer mu.Unlock()
	if want := []string{`a [1]`, `b [2]`}; !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
}
