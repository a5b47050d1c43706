package socketio_test

import (
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// A client that has had no event yet, or volatile ones only, has missed all
// durable ones.
func TestRecoveryWithoutOffset(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	s := <-l.sockets
	l.cut(g)
	s.Emit("first", 1)
	g.wantRecovered(true, `["first",1]`)
	s = <-l.sockets
	await(t, "a volatile event to be sent", func() bool {
		ok, err := s.EmitVolatile("volatile", "text")
		return ok && err == nil
	})
	g.wantEvents(`["volatile","text"]`)
	s.Emit("second", 2)
	l.cut(g)
	s.Emit("third", 3)
	g.wantRecovered(true, `["second",2]`, `["third",3]`)
}

// The offset that a client brings from before it had to begin anew is none of
// its new session.
func TestRecoveryStaleOffset(t *testing.T) {
	l := open(t, nil, nil)
	other := arrive(t, l.url, "")
	(<-l.sockets).Emit("other")
	g := arrive(t, l.url, "")
	s := <-l.sockets
	s.Emit("old", 1)
	g.wantEvents(`["old",1]`)
	stale := g.offset
	s.Disconnect(false) // what becomes of the pid
	g.Want("41")
	l.cut(g)
	l.Of("/").Emit("between")
	other.wantEvents(`["other"]`, `["between"]`)
	g.wantRecovered(false)
	s = <-l.sockets
	l.cut(g)
	s.Emit("new", 2)
	if g.offset != stale {
		t.Fatal("the client got another offset")
	}
	g.wantRecovered(true, `["new",2]`)
}

// An explicit end is one.
func TestNoRecoveryAfterLeaving(t *testing.T) {
	for name, leave := range map[string]func(*guest, *socketio.Socket){
		"by the client":              func(g *guest, _ *socketio.Socket) { g.Send("41") },
		"by the server":              func(_ *guest, s *socketio.Socket) { s.Disconnect(false) },
		"by the server, altogether":  func(_ *guest, s *socketio.Socket) { s.Disconnect(true) },
		"by DisconnectSockets":       func(_ *guest, s *socketio.Socket) { s.Namespace().To(s.ID()).DisconnectSockets(false) },
		"by a packet that is broken": func(g *guest, _ *socketio.Socket) { g.Send(`42[`) },
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, nil, nil)
			g := arrive(t, l.url, "")
			leave(g, <-l.sockets)
			<-l.ends
			g.Vanish()
			g.wantRecovered(false)
			if l.counted().parked != 0 {
				t.Error("a socket was parked")
			}
		})
	}
}

// Whatever a client claims, it is let in; but not as another.
func TestForgedTickets(t *testing.T) {
	l := open(t, nil, nil)
	victim := arrive(t, l.url, "")
	s := <-l.sockets
	s.Emit("x")
	victim.wantEvents(`["x"]`)
	l.cut(victim)
	s.Emit("secret")
	node, _, _ := strings.Cut(victim.pid, "~")
	later := arrive(t, l.url, "")
	(<-l.sockets).Emit("y")
	later.wantEvents(`["y"]`)
	l.cut(later)
	pid := later.pid
	for name, tt := range map[string]struct {
		auth any
		why  socketio.Unrecovered
	}{
		"no such pid":              {map[string]any{"pid": node + "~AAAAAAAAAAAAAAAAAAAAAAAAAA", "offset": victim.offset}, socketio.UnrecoveredUnknown},
		"sid for pid":              {map[string]any{"pid": victim.sid}, socketio.UnrecoveredUnknown},
		"another node":             {map[string]any{"pid": "othernode~" + pid, "offset": "1othernode.1"}, socketio.UnrecoveredUnknown},
		"pid of 10 KB":             {map[string]any{"pid": strings.Repeat("p", 10<<10)}, socketio.UnrecoveredMalformed},
		"pid no text":              {map[string]any{"pid": 7}, socketio.UnrecoveredMalformed},
		"empty pid":                {map[string]any{"pid": ""}, socketio.UnrecoveredMalformed},
		"offset of 10 KB":          {map[string]any{"pid": pid, "offset": strings.Repeat("1", 10<<10)}, socketio.UnrecoveredMalformed},
		"offset no text":           {map[string]any{"pid": pid, "offset": []int{1}}, socketio.UnrecoveredMalformed},
		"offset of before":         {map[string]any{"pid": pid, "offset": victim.offset}, socketio.UnrecoveredOffset},
		"offset from the future":   {map[string]any{"pid": pid, "offset": "1" + node + ".zzzz"}, socketio.UnrecoveredOffset},
		"offset beyond all":        {map[string]any{"pid": pid, "offset": "1" + node + ".zzzzzzzzzzzzzzzzzzzz"}, socketio.UnrecoveredOffset},
		"offset negative":          {map[string]any{"pid": pid, "offset": "1" + node + ".-1"}, socketio.UnrecoveredOffset},
		"offset spelled otherwise": {map[string]any{"pid": pid, "offset": strings.Replace(later.offset, ".", ".0", 1)}, socketio.UnrecoveredOffset},
		"offset of another node":   {map[string]any{"pid": pid, "offset": "1othernode.1"}, socketio.UnrecoveredOffset},
		"offset of another form":   {map[string]any{"pid": pid, "offset": "2" + later.offset[1:]}, socketio.UnrecoveredOffset},
	} {
		t.Run(name, func(t *testing.T) {
			before := l.counted().notRecovered[tt.why]
			g := &guest{t: t, url: l.url, Client: socketiotest.Dial(t, l.url)}
			g.connect(tt.auth)
			if s := <-l.sockets; s.Recovered() || g.sid == victim.sid || g.sid == later.sid {
				t.Errorf("let in as another: %+v", g)
			}
			if got := l.counted().notRecovered; got[tt.why] != before+1 {
				t.Errorf("counted %v, want one more of %s", got, tt.why)
			}
		})
	}
	victim.wantRecovered(true, `["secret"]`) // unharmed
}
