package socketio_test

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// What one client may take, of memory that is Go's: a quarter more than it did
// when this was written. The client's side, which costs little, is counted, too.
// See maxIdleBytes.
const (
	maxConnectBytes  = 29 << 10 // allocated in order to connect
	maxConnectAllocs = 200
)

// A client costs little to let in, and less to keep.
func TestCostOfConnection(t *testing.T) {
	const clients = 300
	opts := socketio.Options{
		Recovery: socketio.Recovery{Enabled: true},
		Engine:   engineio.Options{PingInterval: time.Hour},
	}
	_, url := serve(t, opts, func(io *socketio.Server) {
		io.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) {
			s.Emit("session", map[string]string{"id": s.ID()})
		})
	})
	bare := make([]bareClient, clients)
	scratch := make([]byte, 4096)
	for range 20 { // what is made once, and what pools hold
		new(bareClient).connect(t, url, scratch)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range bare {
		bare[i].connect(t, url, scratch)
	}
	runtime.ReadMemStats(&now)
	size, allocs := (now.TotalAlloc-before.TotalAlloc)/clients, (now.Mallocs-before.Mallocs)/clients
	if size > maxConnectBytes || allocs > maxConnectAllocs {
		t.Errorf("to connect took %d bytes in %d allocations, want %d in %d at most", size, allocs, maxConnectBytes, maxConnectAllocs)
	}
	held := func(m *runtime.MemStats) int64 { return int64(m.HeapAlloc + m.StackInuse) }
	idle := int64(0)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		runtime.GC() // stacks shrink with it, and readers go to rest meanwhile
		runtime.ReadMemStats(&now)
		if idle = (held(&now) - held(&before)) / clients; idle <= maxIdleBytes {
			break
		}
	}
	t.Logf("to connect took %d bytes in %d allocations; an idle client holds %d bytes", size, allocs, idle)
	if idle > maxIdleBytes {
		t.Errorf("an idle client holds %d bytes, want %d at most", idle, maxIdleBytes)
	}
	runtime.KeepAlive(bare)
}

// A bareClient is a connection and nothing else.
type bareClient struct{ conn net.Conn }

const (
	bareHandshake = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	bareConnect = "\x81\x82\x00\x00\x00\x0040" // masked by zeros
)

// connect returns when the client is in, and was told all it is told at once.
func (c *bareClient) connect(t *testing.T, url string, scratch []byte) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c.conn = conn
	c.say(t, scratch, bareHandshake, `"maxPayload"`)
	c.say(t, scratch, bareConnect, `["session"`)
}

func (c *bareClient) say(t *testing.T, scratch []byte, text, answer string) {
	t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	for n := 0; !bytes.Contains(scratch[:n], []byte(answer)); {
		got, err := c.conn.Read(scratch[n:])
		if err != nil {
			t.Fatalf("waiting for %s behind %q: %v", answer, scratch[:n], err)
		}
		n += got
	}
}
