package socketio_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// A crowd are clients in a room who read, and count the bytes.
type crowd struct {
	io   *socketio.Server
	size int
	read atomic.Int64
}

func gather(t testing.TB, size int) *crowd {
	t.Helper()
	c := &crowd{io: socketio.New(socketio.Options{Logger: slog.New(slog.DiscardHandler)}), size: size}
	c.io.Of("/").Use(func(_ context.Context, s *socketio.Socket) error {
		s.Join("hall")
		return nil
	})
	web := httptest.NewServer(c.io)
	t.Cleanup(func() {
		c.io.Close()
		web.Close()
	})
	for range size {
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"+
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"+
			"\x81\x82\x00\x00\x00\x0040") // masked with zeros
		if err != nil {
			t.Fatal(err)
		}
		go func() { // ends with conn
			buf := make([]byte, 16<<10)
			for {
				n, err := conn.Read(buf)
				c.read.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	c.await(t, "all to be in", func() bool { return c.io.Of("/").Len() == size })
	for before := int64(-1); before != c.read.Load(); <-time.After(20 * time.Millisecond) { // what precedes
		before = c.read.Load()
	}
	c.read.Store(0)
	return c
}

func (c *crowd) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// broadcast sends n events, 16 at a time, and returns when all have been read.
func (c *crowd) broadcast(t testing.TB, n int, arg any) {
	t.Helper()
	frame := 2 + len(fmt.Sprintf(`42["line",%q]`, arg)) // its header is of two bytes up to 125, then of four
	if frame > 127 {
		frame += 2
	}
	start := c.read.Load()
	for i := range n {
		if err := c.io.Of("/").To("hall").Emit("line", arg); err != nil {
			t.Fatal(err)
		}
		if i%16 == 15 || i == n-1 {
			want := start + int64((i+1)*c.size*frame)
			c.await(t, "what was sent", func() bool { return c.read.Load() >= want })
		}
	}
	if got, want := c.read.Load()-start, int64(n*c.size*frame); got != want {
		t.Fatalf("%d bytes were read, want %d", got, want)
	}
}

// allocations returns how many f makes, in all goroutines.
func allocations(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// A broadcast allocates for itself, and nothing for each socket. (Half an
// allocation leaves room for the race detector, with which sync.Pools lose a
// quarter.)
func TestBroadcastAllocations(t *testing.T) {
	const size, n = 200, 100
	c := gather(t, size)
	arg := strings.Repeat("x", 100)
	c.broadcast(t, n, arg) // fills the pools
	got := allocations(func() { c.broadcast(t, n, arg) }) / (n * size)
	t.Logf("%.3f allocations for each socket", got)
	if got > 0.5 {
		t.Errorf("got %.3f allocations for each socket, want none", got)
	}
}

// BenchmarkBroadcast is an event to all members of a room, until they have
// read it: one at a time, and 16.
func BenchmarkBroadcast(b *testing.B) {
	for _, size := range []int{10, 200} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := gather(b, size)
			arg := strings.Repeat("x", 100)
			n := 0
			c.broadcast(b, 100, arg)
			b.ReportAllocs()
			allocs := allocations(func() {
				for b.Loop() {
					if n++; n%16 == 0 {
						c.broadcast(b, 16, arg)
					}
				}
			})
			n &^= 15
			if n == 0 {
				return
			}
			each := allocs / float64(n*size)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*size), "ns/delivery")
			b.ReportMetric(each, "allocs/delivery")
			if size == 200 && n >= 160 && each > 0.5 {
				b.Errorf("got %.3f allocations for each socket, want none", each)
			}
		})
	}
}

// exchanges returns what has a client emit an event over the wire and read its
// acknowledgement.
func exchanges(t testing.TB) (exchange func()) {
	t.Helper()
	server := socketio.New(socketio.Options{})
	socketio.Reply(server.Of("/"), "line", func(_ context.Context, _ *socketio.Socket, text string) (int, error) { return len(text), nil })
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		conn.Close()
	})
	_, _ = conn.Write([]byte("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n\x81\x82\x00\x00\x00\x0040"))
	buf := make([]byte, 4<<10)
	for got := []byte(nil); !bytes.Contains(got, []byte("40{")); {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	event := `420["line","` + strings.Repeat("x", 100) + `"]`
	frame := append([]byte{0x81, 0x80 | byte(len(event)), 0, 0, 0, 0}, event...)
	answer := make([]byte, 2+len("430[100]"))
	return func() {
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// An event of a client takes so much to be read, handled and acknowledged. (The
// bound leaves room for the race detector.)
func TestEventAllocations(t *testing.T) {
	exchange := exchanges(t)
	for range 200 { // fills the pools
		exchange()
	}
	const n = 500
	got := allocations(func() {
		for range n {
			exchange()
		}
	}) / n
	t.Logf("%.1f allocations for each event", got)
	if got > 26 {
		t.Errorf("got %.1f allocations for each event, want 26 at most", got)
	}
}

// BenchmarkEvent is an event of a client and its acknowledgement, over the
// wire.
func BenchmarkEvent(b *testing.B) {
	exchange := exchanges(b)
	b.ReportAllocs()
	for b.Loop() {
		exchange()
	}
}
