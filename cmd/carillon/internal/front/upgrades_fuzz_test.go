package front_test

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
)

// What goes the short way net/http's server would have had seen by a handler, too,
// and the same of it.
func FuzzUpgrades(f *testing.F) {
	for _, line := range []string{
		"Cookie: a=b", "Host: x", " folded: y", "a b: c", "A:\x01", "Connection: close", "content-length: 0", "Content-Length: 1",
		"Transfer-Encoding: chunked", "Expect: 100-continue", "Trailer: x", "Pragma: no-cache", "", "Cookie: é", ":", "Host:", "a: b\nc: d",
	} {
		f.Add([]byte(strings.Replace(opening, "Cookie: a=b", line, 1)))
	}
	for _, target := range []string{"/socket.io/?%zz", "/socket.io/?", "/socket.io/?a;b", "/socket.io/?\x7f", "/socket.io/?a#b", "/socket.io/? "} {
		f.Add([]byte(strings.Replace(opening, "/socket.io/?EIO=4&transport=websocket", target, 1)))
	}
	seen := make(chan string, 1)
	server := &http.Server{
		Handler:  http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- shown(r) }),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	conns := make(chan net.Conn)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener(conns)) }() // ends with Close
	f.Cleanup(func() { close(conns); server.Close(); <-served })
	u := &front.Upgrades{Path: "/socket.io/"}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4<<10 {
			return
		}
		r := u.Request(bytes.Clone(b))
		if r == nil {
			return
		}
		here, there := net.Pipe()
		defer here.Close()
		_ = here.SetDeadline(time.Now().Add(20 * time.Second))
		conns <- there
		go func() { _, _ = io.Copy(io.Discard, here) }() // ends with Close
		if _, err := here.Write(b); err != nil {
			t.Fatal(err)
		}
		select {
		case want := <-seen:
			if got := shown(r); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("net/http would have refused %q", b)
		}
	})
}

// A listener has the connections of a channel.
type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (listener) Close() error   { return nil }
func (listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
