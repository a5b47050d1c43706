package socketio_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/socketio"
)

// A bubble is a Server, and its clients, in the time of synctest.
type bubble struct {
	*socketio.Server
	tally
	t       *testing.T
	pipes   *pipes
	sockets chan *socketio.Socket // from OnConnect
	ends    chan socketio.Reason  // from OnDisconnect
}

func newBubble(t *testing.T, opts socketio.Options) *bubble {
	t.Helper()
	b := &bubble{
		t: t, pipes: &pipes{conns: make(chan net.Conn), done: make(chan struct{})},
		sockets: make(chan *socketio.Socket, 1000), ends: make(chan socketio.Reason, 1000),
	}
	if opts.Hooks = b.hooks(); opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	b.Server = socketio.New(opts)
	b.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) { b.sockets <- s })
	b.Of("/").OnDisconnect(func(_ context.Context, _ *socketio.Socket, why socketio.Reason) { b.ends <- why })
	web := &http.Server{Handler: b.Server, ErrorLog: log.New(io.Discard, "", 0)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = web.Serve(b.pipes) }) // ends with Close
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		_ = web.Close()
		wg.Wait()
	})
	return b
}

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	wrap  func(net.Conn) net.Conn // of clients; nil: as they are
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		if p.wrap != nil {
			return p.wrap(here), nil
		}
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// connect opens a WebSocket.
func (p *pipes) connect() (*websocket.Conn, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: p.dial}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "http://pipe/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPClient: client})
	if err == nil {
		conn.SetReadLimit(-1)
	}
	return conn, err
}

// A visitor is a guest in a bubble.
type visitor struct {
	conn      *websocket.Conn
	namespace string // followed by a comma, unless it is ""
	sid, pid  string
	offset    string
	recovered bool
}

func (b *bubble) arrive() *visitor {
	b.t.Helper()
	v := new(visitor)
	v.back(b)
	return v
}

func (v *visitor) back(b *bubble) {
	b.t.Helper()
	if err := v.connect(b.pipes); err != nil {
		b.t.Fatal(err)
	}
}

// connect connects, up to the answer to CONNECT.
func (v *visitor) connect(p *pipes) (err error) {
	if v.conn, err = p.connect(); err != nil {
		return err
	}
	if _, err = v.next(); err != nil { // the open packet
		return err
	}
	auth := map[string]string{}
	if v.pid != "" {
		auth["pid"] = v.pid
	}
	if v.offset != "" {
		auth["offset"] = v.offset
	}
	text, _ := json.Marshal(auth)
	if err := v.conn.Write(context.Background(), websocket.MessageText, append([]byte("40"+v.namespace), text...)); err != nil {
		return err
	}
	answer, err := v.next()
	if err != nil {
		return err
	}
	var said struct{ SID, PID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "40"+v.namespace)), &said); err != nil {
		return err
	}
	v.recovered = v.pid == said.PID
	v.sid, v.pid = said.SID, said.PID
	return nil
}

// next reads a packet, and answers pings.
func (v *visitor) next() (string, error) {
	for {
		_, data, err := v.conn.Read(context.Background())
		if err != nil || string(data) != "2" {
			return string(data), err
		}
		if err := v.conn.Write(context.Background(), websocket.MessageText, []byte("3")); err != nil {
			return "", err
		}
	}
}

func (v *visitor) cut() { _ = v.conn.CloseNow() }

// abandon hears nothing more by the visitor's connection, which it leaves open,
// as far as the server knows. It fails if something comes by it long after the
// visitor was back on another.
func (v *visitor) abandon(name int, fail func(format string, args ...any)) {
	conn, sid, since := v.conn, v.sid, time.Now()
	go func() { // ends with the connection, which the server closes in the end
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				_ = conn.CloseNow()
				return
			}
			if time.Since(since) > 4*time.Minute {
				fail("client %d: something of %s comes by a connection of %v ago", name, sid, time.Since(since))
				return
			}
		}
	}()
}

// A roamer is a client of a simulation.
type roamer interface {
	open() bool
	listen(packets int)
	cut()
	freeze()
}

// roam has a client lose its connection again and again, until stop is closed.
func roam(c roamer, rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if c.open() {
			c.listen(1 + rng.IntN(25))
			if rng.IntN(2) == 0 {
				c.cut()
			} else {
				c.freeze()
			}
		}
		away := time.Duration(rng.IntN(300)) * time.Millisecond
		if rng.IntN(30) == 0 {
			away += 3 * time.Minute // too long
		}
		time.Sleep(away)
	}
}
