package socketio_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// TestCycles connects and disconnects clients, by every transport and in
// orderly and rude ways, and looks for what they leave behind: goroutines,
// sockets, rooms, memory. CARILLON_TEST_CYCLES is their number, 3000 if unset.
func TestCycles(t *testing.T) {
	cycles := 3000
	if n, err := strconv.Atoi(os.Getenv("CARILLON_TEST_CYCLES")); err == nil {
		cycles = n
	}
	if testing.Short() {
		cycles = 300
	}
	var in, out atomic.Int64
	start := runtime.NumGoroutine()
	server := socketio.New(socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	n := server.Of("/")
	n.OnConnect(func(_ context.Context, s *socketio.Socket) {
		in.Add(1)
		s.Join("room", s.ID()+" alone")
	})
	n.OnDisconnect(func(context.Context, *socketio.Socket, socketio.Reason) { out.Add(1) })
	n.Handle("echo", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
		return s.Emit("echo", anys(e.Args)...)
	})
	web := httptest.NewServer(server)
	client := &cycleClient{addr: strings.TrimPrefix(web.URL, "http://"), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}

	run := func(cycles int) {
		var wg sync.WaitGroup
		var next atomic.Int64
		for range 8 {
			wg.Go(func() {
				for {
					i := next.Add(1)
					if i > int64(cycles) {
						return
					}
					if err := client.cycle(int(i)); err != nil {
						t.Errorf("cycle %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		client.http.CloseIdleConnections()
	}
	// settled waits until the server has noticed that all are gone and no more
	// goroutines run than were wanted.
	settled := func(goroutines int) (int, uint64) {
		deadline := time.Now().Add(30 * time.Second)
		for (server.Sessions() > 0 || in.Load() != out.Load() || runtime.NumGoroutine() > goroutines) && time.Now().Before(deadline) {
			<-time.After(time.Millisecond)
		}
		for range 3 { // sync.Pools are emptied in two steps
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}

	serving := 2 + runtime.GOMAXPROCS(0) // goroutines: the listener's, the one that waits for idle connections, and the workers that write
	run(400)                             // what is made once is there
	_, heap := settled(start + serving)
	run(cycles)
	idle, heapThen := settled(start + serving)
	t.Logf("%d cycles: %d goroutines before, %d of a server without clients, heap of %d and then %d bytes", cycles, start, idle, heap, heapThen)
	if idle > start+serving {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines left\n%s", idle, stacks[:runtime.Stack(stacks, true)])
	}
	const noise = 64 << 10 // of maps and pools, at a heap as small as this
	if heapThen > heap+heap/20+noise {
		t.Errorf("the heap grew from %d to %d bytes", heap, heapThen)
	}
	if in.Load() != out.Load() || server.Sessions() != 0 {
		t.Errorf("%d came, %d went, %d sessions are left", in.Load(), out.Load(), server.Sessions())
	}
	if count, err := n.To("room").Count(t.Context()); err != nil || count != 0 {
		t.Errorf("%d sockets are left in a room (%v)", count, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	web.Close()
	if end, _ := settled(start); end > start {
		t.Errorf("%d goroutines behind Close, %d before the server", end, start)
	}
}

// cycleClient comes and goes, in as few bytes as it takes.
type cycleClient struct {
	addr string
	http *http.Client
}

const cycles = 8 // kinds of them

func (c *cycleClient) cycle(i int) error {
	switch i % cycles {
	case 0, 1, 2:
		return c.polling(i % cycles)
	case 3, 4:
		return c.websocket(i % cycles)
	}
	return c.upgrade(i % cycles)
}

func (c *cycleClient) request(method, query, body string) (string, error) {
	r, err := http.NewRequest(method, "http://"+c.addr+"/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := c.http.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %d %s", method, query, res.StatusCode, b)
	}
	return string(b), err
}

// open returns the query of a new polling session, which is in "/".
func (c *cycleClient) open() (string, error) {
	body, err := c.request("GET", "EIO=4&transport=polling", "")
	if err != nil {
		return "", err
	}
	query := "EIO=4&transport=polling&sid=" + rawID.FindStringSubmatch(body)[1]
	if _, err := c.request("POST", query, "40"); err != nil {
		return "", err
	}
	_, err = c.request("GET", query, "")
	return query, err
}

// polling leaves by a close packet, by one of Socket.IO, or in the middle of
// a poll.
func (c *cycleClient) polling(kind int) error {
	query, err := c.open()
	if err != nil {
		return err
	}
	switch kind {
	case 0:
		_, err = c.request("POST", query, "42[\"echo\",1]\x1e1")
	case 1:
		if _, err = c.request("POST", query, "41"); err == nil {
			_, err = c.request("POST", query, "1")
		}
	default:
		conn, dialErr := net.Dial("tcp", c.addr)
		if dialErr != nil {
			return dialErr
		}
		fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: x\r\n\r\n", query)
		err = conn.Close()
	}
	return err
}

// dial opens a WebSocket and reads want frames.
func (c *cycleClient) dial(query string, send []string, want int) (net.Conn, error) {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", query)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	for i := range want {
		if err != nil {
			break
		}
		if i > 0 || len(query) > len("EIO=4&transport=websocket") { // a new session hears "0" first
			conn.Write(maskedFrame(opText, []byte(send[0])))
			send = send[1:]
		}
		head := make([]byte, 2)
		if _, err = io.ReadFull(r, head); err == nil && head[0] != opText {
			err = fmt.Errorf("frame %#x", head[0])
		}
		if err == nil {
			if head[1] == 126 {
				if _, err = io.ReadFull(r, head); err != nil {
					break
				}
				_, err = r.Discard(int(head[0])<<8 | int(head[1]))
			} else {
				_, err = r.Discard(int(head[1]))
			}
		}
	}
	if err != nil {
		conn.Close()
	}
	return conn, err
}

// websocket leaves by a close frame or without a word.
func (c *cycleClient) websocket(kind int) error {
	conn, err := c.dial("EIO=4&transport=websocket", []string{"40", `42["echo","x"]`}, 3)
	if err != nil {
		return err
	}
	if kind == 3 {
		conn.Write(maskedFrame(opClose, []byte{3, 0xe8}))
		io.Copy(io.Discard, conn)
	} else {
		conn.(*net.TCPConn).SetLinger(0) // a reset
	}
	return conn.Close()
}

// upgrade cuts the connection behind the upgrade, before it, or leaves the
// candidate and then the session.
func (c *cycleClient) upgrade(kind int) error {
	query, err := c.open()
	if err != nil {
		return err
	}
	conn, err := c.dial(wsQuery(query), []string{"2probe"}, 1)
	if err != nil {
		return err
	}
	if kind == 5 {
		conn.Write(slices.Concat(maskedFrame(opText, []byte("5")), maskedFrame(opText, []byte(`42["echo",1]`))))
	}
	if err = conn.Close(); err == nil && kind != 5 {
		_, err = c.request("POST", query, "1")
	}
	return err
}
