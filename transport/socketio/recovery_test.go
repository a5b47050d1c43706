package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// A client that is back has its id, rooms and data, and gets what it missed,
// once and in order: what was for all, for its rooms, for itself, and for
// nobody but those of other rooms.
func TestRecovery(t *testing.T) {
	l := open(t, nil, nil)
	n := l.Of("/")
	g := arrive(t, l.url, "")
	first := <-l.sockets
	first.Join("r", "left")
	first.SetData("kept")
	n.Emit("before", 0)
	g.wantEvents(`["before",0]`)
	l.cut(g)

	n.Emit("all", 1)
	n.To("r").Emit("room", 2)
	n.To("other").Emit("other room", -1)
	n.Except("r").Emit("except", -1)
	n.To("left").Emit("left", 3)
	first.Leave("left")
	n.To("left").Emit("left", -1)
	n.To("joined").Emit("joined", -1)
	n.To(first.ID()).SocketsJoin("joined")
	n.To("joined", "r").Except("left").Emit("joined", 4)
	n.Volatile().Emit("volatile", -1)
	if err := first.Emit("direct", 5); err != nil {
		t.Error(err)
	}
	n.To(first.ID()).Emit("by id", 6)

	g.wantRecovered(true, `["all",1]`, `["room",2]`, `["left",3]`, `["joined",4]`, `["direct",5]`, `["by id",6]`)
	s := <-l.sockets
	if !s.Recovered() || first.Recovered() || s.ID() != first.ID() || s.Data() != "kept" {
		t.Errorf("Recovered %v, ID %q (was %q), data %v", s.Recovered(), s.ID(), first.ID(), s.Data())
	}
	if got, want := s.Rooms(), []string{s.ID(), "joined", "r"}; !reflect.DeepEqual(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("rooms %v, want %v", got, want)
	}
	n.Emit("after", 7)
	g.wantEvents(`["after",7]`)
	if got := s.Handshake().Auth; !got.IsNull() && string(must(json.Marshal(got))) != "{}" {
		t.Errorf("the application sees auth %s", must(json.Marshal(got)))
	}
	if c := l.counted(); c.recovered != 1 || c.replayed != 6 || c.parked != 1 {
		t.Errorf("counted %+v", c)
	}
	l.cut(g)
	g.wantRecovered(true) // nothing was missed
}

// What is not kept comes as it is, in its order, and once at most; what would be
// taken for an offset is kept.
func TestEmitUnkept(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	s := <-l.sockets
	empty := l.RecoveryStats().Bytes
	emit := func(event string, args ...any) {
		t.Helper()
		if err := s.EmitUnkept(event, args...); err != nil {
			t.Error(err)
		}
	}
	for i, want := range []string{`42["session",{"a":1}]`, `42["session","x",null]`, `42["session",["y"]]`} {
		emit("session", [][]any{{map[string]int{"a": 1}}, {"x", nil}, {[]string{"y"}}}[i]...)
		if got := g.Read(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := l.RecoveryStats().Bytes; got != empty {
		t.Errorf("%d bytes are kept, %d before", got, empty)
	}
	emit("none")
	emit("text", 1, "x")
	g.wantEvents(`["none"]`, `["text",1,"x"]`)
	emit("unkept", 1)
	s.Emit("kept", 2)
	if got := g.Read(); got != `42["unkept",1]` {
		t.Errorf("got %s", got)
	}
	g.wantEvents(`["kept",2]`)
	if err := s.EmitUnkept("bad", make(chan int)); err == nil {
		t.Error("a channel was sent")
	}
	l.cut(g)
	if err := s.EmitUnkept("unkept", 3); !errors.Is(err, socketio.ErrDisconnected) {
		t.Errorf("got %v for one who is away", err)
	}
	s.Emit("kept", 4)
	g.wantRecovered(true, `["kept",4]`)
}

// While its client is away a socket is not counted, found or asked; who
// disconnects it ends it.
func TestParked(t *testing.T) {
	l := open(t, nil, nil)
	n := l.Of("/")
	g := arrive(t, l.url, "")
	s := <-l.sockets
	s.Join("r")
	l.cut(g)
	if infos, err := n.FetchSockets(t.Context()); len(infos) != 0 || err != nil {
		t.Errorf("found %v, %v", infos, err)
	}
	if c, err := n.To("r").Count(t.Context()); c != 0 || err != nil {
		t.Errorf("counted %d, %v", c, err)
	}
	if rooms, err := n.AllRooms(t.Context()); len(rooms) != 0 || err != nil {
		t.Errorf("rooms %v, %v", rooms, err)
	}
	if answers, err := n.EmitWithAck(t.Context(), "ask"); len(answers) != 0 || err != nil {
		t.Errorf("asked: %v, %v", answers, err)
	}
	if r := must(n.Deliver("deliver")); must(r.Wait(t.Context())) != 0 {
		t.Error("delivered to a client that is away")
	}
	if got := l.RecoveryStats(); got.Parked != 1 || got.Bytes == 0 {
		t.Errorf("stats %+v", got)
	}
	g.wantRecovered(true, `["deliver"]`)
	<-l.sockets
	if c, err := n.To("r").Count(t.Context()); c != 1 || err != nil {
		t.Errorf("counted %d, %v, when it is back", c, err)
	}
	l.cut(g)
	if err := n.To("r").DisconnectSockets(true); err != nil {
		t.Error(err)
	}
	l.want(t, socketio.LapseDisconnected, 1)
	if err := s.Emit("late"); err != socketio.ErrDisconnected {
		t.Errorf("Emit to what is gone: %v", err)
	}
	g.wantRecovered(false)
	if c := l.counted(); c.notRecovered[socketio.UnrecoveredUnknown] != 1 {
		t.Errorf("counted %+v", c)
	}
}

// Each namespace is recovered, or not, by itself.
func TestRecoveryOfTwoNamespaces(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	root := <-l.sockets
	a := &guest{t: t, url: l.url, namespace: "/a,", Client: g.Client}
	a.connect(map[string]string{})
	inA := <-l.sockets
	root.Emit("root", 1)
	inA.Emit("a", 1)
	g.wantEvents(`["root",1]`)
	a.wantEvents(`["a",1]`)
	g.Vanish()
	<-l.ends
	<-l.ends
	root.Emit("root", 2)
	inA.Emit("a", 2)
	inA.Disconnect(false)
	sid, pid := g.sid, a.pid
	g.wantRecovered(true, `["root",2]`)
	a.Client = g.Client
	a.connect(map[string]string{"pid": a.pid, "offset": a.offset})
	if g.sid != sid || a.pid == pid || a.recovered {
		t.Errorf("the socket of / has id %s, was %s; that of /a is recovered: %v", g.sid, sid, a.recovered)
	}
}

// Middlewares are passed over, or see a socket that has its rooms and data.
func TestRecoveryMiddlewares(t *testing.T) {
	for _, called := range []bool{false, true} {
		t.Run(fmt.Sprint(called), func(t *testing.T) {
			var calls []string
			refuse := false
			l := open(t, func(o *socketio.Options) { o.Recovery.Middlewares = called }, func(io *socketio.Server) {
				io.Of("/").Use(func(_ context.Context, s *socketio.Socket) error {
					calls = append(calls, fmt.Sprintln(s.Recovered(), len(s.Rooms()), s.Data()))
					if s.Recovered() {
						s.Join("extra")
					}
					if refuse {
						return socketio.Errorf("no", "no more")
					}
					return nil
				})
			})
			g := arrive(t, l.url, "")
			s := <-l.sockets
			s.Join("r")
			s.SetData("d")
			l.cut(g)
			g.wantRecovered(true)
			s = <-l.sockets
			want := []string{"false 0 <nil>\n"}
			if called {
				want = append(want, "true 2 d\n")
				if !slices.Contains(s.Rooms(), "extra") {
					t.Errorf("rooms %v", s.Rooms())
				}
			}
			if !slices.Equal(calls, want) {
				t.Errorf("middleware called with %q, want %q", calls, want)
			}
			if !called {
				return
			}
			l.cut(g)
			refuse = true
			g.Client = socketiotest.Dial(t, l.url)
			g.Send(`40{"pid":"` + g.pid + `"}`)
			g.Want(`44{"message":"no more","data":{"code":"no"}}`)
			l.want(t, socketio.LapseRefused, 1)
		})
	}
}
