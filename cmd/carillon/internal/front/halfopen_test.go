package front_test

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
)

// dial opens a connection that is closed with the test.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// Those that have asked are left alone, whatever the others do; of the others
// the oldest go.
func TestHalfOpen(t *testing.T) {
	var evicted atomic.Int32
	h := front.NewHalfOpen(10, func() { evicted.Add(1) })
	held := make(chan struct{})
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				<-held
			}
			_, _ = io.WriteString(w, "ok")
		}),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	h.Watch(s)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // ends with Close below
	t.Cleanup(func() { s.Close(); <-served })
	addr := l.Addr().String()

	holding := dial(t, addr)
	_, _ = io.WriteString(holding, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
	idle := dial(t, addr)
	ask := func(c net.Conn) {
		t.Helper()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 200 {
			t.Fatalf("got %v, %v", res, err)
		}
	}
	ask(idle)
	waitFor(t, func() bool { return h.Len() == 0 })

	var slow []net.Conn
	for i := range 50 {
		c := dial(t, addr)
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX: ")
		}
		slow = append(slow, c)
	}
	waitFor(t, func() bool { return evicted.Load() == 40 && h.Len() == 10 })
	for _, c := range slow[:40] {
		if n, err := io.Copy(io.Discard, c); err != nil && n > 0 {
			t.Errorf("got %d bytes and %v, want it closed", n, err)
		}
	}
	ask(dial(t, addr)) // who asks at once is heard
	ask(idle)
	close(held)
	if res, err := http.ReadResponse(bufio.NewReader(holding), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("got %v, %v", res, err)
	}
	for _, c := range slow {
		c.Close()
	}
	waitFor(t, func() bool { return h.Len() == 0 })
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come")
		}
	}
}
