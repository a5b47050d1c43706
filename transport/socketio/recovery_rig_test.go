package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// tally is what Hooks say of recovery.
type tally struct {
	mu  sync.Mutex // guards now
	now counts
}

type counts struct {
	parked       int
	recovered    int
	replayed     int
	notRecovered map[socketio.Unrecovered]int
	lapsed       map[socketio.Lapse]int
	evicted      int
}

func (c *tally) hooks() socketio.Hooks {
	c.now.notRecovered, c.now.lapsed = make(map[socketio.Unrecovered]int), make(map[socketio.Lapse]int)
	count := func(f func(now *counts)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		f(&c.now)
	}
	return socketio.Hooks{
		Parked:       func(string) { count(func(c *counts) { c.parked++ }) },
		Recovered:    func(_ string, events int) { count(func(c *counts) { c.recovered++; c.replayed += events }) },
		NotRecovered: func(_ string, why socketio.Unrecovered) { count(func(c *counts) { c.notRecovered[why]++ }) },
		Lapsed:       func(_ string, why socketio.Lapse) { count(func(c *counts) { c.lapsed[why]++ }) },
		Evicted:      func(_ string, events int) { count(func(c *counts) { c.evicted += events }) },
	}
}

// counted returns what was counted so far.
func (c *tally) counted() counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now
	now.notRecovered, now.lapsed = maps.Clone(now.notRecovered), maps.Clone(now.lapsed)
	return now
}

// want waits for as many lapses for a reason.
func (c *tally) want(t *testing.T, why socketio.Lapse, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d times %q", n, why), func() bool {
		return c.counted().lapsed[why] == n
	})
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A guest is a client that can be recovered: it does with pid and offset what
// socket.io-client does.
type guest struct {
	*socketiotest.Client
	t           *testing.T
	url         string
	namespace   string // followed by a comma, unless it is ""
	sid, pid    string
	offset      string
	recovered   bool
	connections int
}

func arrive(t *testing.T, url, namespace string) *guest {
	t.Helper()
	g := &guest{t: t, url: url, namespace: namespace}
	g.back()
	return g
}

// back connects, again. What comes behind the answer is still to be read.
func (g *guest) back() {
	g.t.Helper()
	g.Client = socketiotest.Dial(g.t, g.url)
	g.connections++
	auth := map[string]string{}
	if g.pid != "" {
		auth["pid"] = g.pid
	}
	if g.offset != "" {
		auth["offset"] = g.offset
	}
	g.connect(auth)
}

func (g *guest) connect(auth any) {
	g.t.Helper()
	text, err := json.Marshal(auth)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Send("40" + g.namespace + string(text))
	answer, ok := strings.CutPrefix(g.Read(), "40"+g.namespace)
	var said struct{ SID, PID string }
	if err := json.Unmarshal([]byte(answer), &said); !ok || err != nil || said.SID == "" || said.PID == "" {
		g.t.Fatalf("got %q, want an answer to CONNECT with sid and pid", answer)
	}
	g.recovered = said.PID == g.pid
	g.sid, g.pid = said.SID, said.PID
}

// event reads an event and returns it without its offset, which it keeps.
func (g *guest) event() string {
	g.t.Helper()
	text := g.Read()
	args := g.args(text)
	last := ""
	if len(args) < 2 || json.Unmarshal(args[len(args)-1], &last) != nil || !strings.HasPrefix(last, "1") {
		g.t.Fatalf("got %q, want an event with an offset", text)
	}
	g.offset = last
	rest, _ := json.Marshal(args[:len(args)-1])
	return string(rest)
}

func (g *guest) args(text string) (args []json.RawMessage) {
	g.t.Helper()
	body, ok := strings.CutPrefix(text, "42"+g.namespace)
	if err := json.Unmarshal([]byte(body), &args); !ok || err != nil {
		g.t.Fatalf("got %q, want an event", text)
	}
	return args
}

func (g *guest) wantEvents(events ...string) {
	g.t.Helper()
	for _, want := range events {
		if got := g.event(); got != want {
			g.t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// wantRecovered connects once more and looks what comes of it.
func (g *guest) wantRecovered(want bool, missed ...string) {
	g.t.Helper()
	sid := g.sid
	g.back()
	if g.recovered != want || (g.sid == sid) != want {
		g.t.Fatalf("recovered: %v, with the same id: %v; want %v", g.recovered, g.sid == sid, want)
	}
	g.wantEvents(missed...)
}

// lodge serves clients that are recovered, and tells of their sockets.
type lodge struct {
	*socketio.Server
	tally
	url     string
	sockets chan *socketio.Socket // from OnConnect
	ends    chan socketio.Reason  // from OnDisconnect
}

func open(t *testing.T, change func(*socketio.Options), setup func(*socketio.Server)) *lodge {
	t.Helper()
	l := &lodge{sockets: make(chan *socketio.Socket, 100), ends: make(chan socketio.Reason, 100)}
	opts := socketio.Options{Recovery: socketio.Recovery{Enabled: true}, Hooks: l.hooks()}
	if change != nil {
		change(&opts)
	}
	l.Server, l.url = serve(t, opts, func(io *socketio.Server) {
		for _, name := range []string{"/", "/a"} {
			io.Of(name).OnConnect(func(_ context.Context, s *socketio.Socket) { l.sockets <- s })
			io.Of(name).OnDisconnect(func(_ context.Context, _ *socketio.Socket, why socketio.Reason) { l.ends <- why })
		}
		if setup != nil {
			setup(io)
		}
	})
	return l
}

// cut breaks the connection of a guest and waits until that was noticed.
func (l *lodge) cut(g *guest) {
	g.t.Helper()
	g.Vanish()
	<-l.ends
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
