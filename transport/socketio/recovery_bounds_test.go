package socketio_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// What had to be given up is not missed in silence, unless nothing of it was
// for the client.
func TestRecoveryTrimmed(t *testing.T) {
	l := open(t, func(o *socketio.Options) { o.Recovery.MaxBytes = 16 << 10 }, nil)
	n := l.Of("/")
	g := arrive(t, l.url, "")
	s := <-l.sockets
	s.Emit("x", 1)
	g.wantEvents(`["x",1]`)
	other := arrive(t, l.url, "")
	(<-l.sockets).Join("other")
	l.cut(g)
	flood := func(e socketio.Emitter) {
		for range 100 {
			if err := e.Emit("flood", strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	flood(n.To("other"))
	if n := l.counted().evicted; n < 50 {
		t.Errorf("%d events were given up", n)
	}
	g.wantRecovered(true) // quiet, and far behind what is kept
	<-l.sockets
	l.cut(g)
	s.Emit("x", 2)
	flood(n.To("other"))
	g.wantRecovered(false)
	if c := l.counted(); c.notRecovered[socketio.UnrecoveredTrimmed] != 1 || c.lapsed[socketio.LapseUnrecovered] != 1 {
		t.Errorf("counted %+v", c)
	}
	if b := l.RecoveryStats().Bytes; b > 16<<10 {
		t.Errorf("%d bytes are kept", b)
	}
	other.Vanish()
}

func TestRecoveryTooMuch(t *testing.T) {
	l := open(t, func(o *socketio.Options) { o.Recovery.MaxReplay = 10_000 }, nil)
	g := arrive(t, l.url, "")
	s := <-l.sockets
	l.cut(g)
	for range 11 {
		s.Emit("x", strings.Repeat("x", 1000))
	}
	g.wantRecovered(false)
	if c := l.counted(); c.notRecovered[socketio.UnrecoveredTooMuch] != 1 {
		t.Errorf("counted %+v", c)
	}
}

func TestRecoveryCrowded(t *testing.T) {
	l := open(t, func(o *socketio.Options) { o.Recovery.MaxParked = 2 }, nil)
	var guests []*guest
	for range 3 {
		g := arrive(t, l.url, "")
		guests = append(guests, g)
		<-l.sockets
		l.cut(g)
	}
	l.want(t, socketio.LapseCrowded, 1)
	guests[2].wantRecovered(true)
	guests[1].wantRecovered(true)
	guests[0].wantRecovered(false)
}

// The wait for a client is bounded, and so is all that is kept.
func TestRecoveryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, socketio.Options{Recovery: socketio.Recovery{Enabled: true, Window: time.Minute}})
		g := b.arrive()
		s := <-b.sockets
		s.Join("r")
		s.Emit("x")
		g.next()
		g.cut()
		<-b.ends
		time.Sleep(59 * time.Second)
		g.back(b)
		if !g.recovered {
			t.Fatal("not recovered within the window")
		}
		<-b.sockets
		g.cut()
		<-b.ends
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.RecoveryStats().Parked; got != 0 {
			t.Errorf("%d parked after the window", got)
		}
		g.back(b)
		if g.recovered {
			t.Error("recovered after the window")
		}
		<-b.sockets
		g.cut()
		<-b.ends
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := b.RecoveryStats(); got != (socketio.RecoveryStats{}) {
			t.Errorf("kept in the end: %+v", got)
		}
	})
}

// What a client is sent when it is back waits for what is queued for it by
// another namespace, so that it is not cut for both.
func TestRecoveryOfMuchInTwoNamespaces(t *testing.T) {
	l := open(t, func(o *socketio.Options) { o.Engine.MaxQueue = 200_000 }, nil)
	g := arrive(t, l.url, "")
	root := <-l.sockets
	a := &guest{t: t, url: l.url, namespace: "/a,", Client: g.Client}
	a.connect(map[string]string{})
	inA := <-l.sockets
	for range 3 {
		g.Vanish()
		<-l.ends
		<-l.ends
		for range 130 {
			root.Emit("x", strings.Repeat("x", 1000))
			inA.Emit("x", strings.Repeat("x", 1000))
		}
		g.Client = socketiotest.Dial(t, l.url)
		a.Client = g.Client
		g.Send(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, g.pid, g.offset))
		g.Send(fmt.Sprintf(`40/a,{"pid":%q,"offset":%q}`, a.pid, a.offset))
		for range 2 + 2*130 {
			text := g.Read()
			switch {
			case strings.HasPrefix(text, "40"):
				if !strings.Contains(text, g.pid) && !strings.Contains(text, a.pid) {
					t.Fatalf("got %s, not recovered", text)
				}
			case strings.HasPrefix(text, "42/a,"):
				args := a.args(text)
				a.offset = strings.Trim(string(args[2]), `"`)
			default:
				args := g.args(text)
				g.offset = strings.Trim(string(args[2]), `"`)
			}
		}
		<-l.sockets
		<-l.sockets
	}
}
