package engineio_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

type discard struct{}

func (discard) Message(bool, []byte) error    { return nil }
func (discard) Closed(engineio.Reason, error) {}

// BenchmarkSend is what one session costs a broadcast. The client reads.
func BenchmarkSend(b *testing.B) {
	sessions := make(chan *engineio.Session, 1)
	srv := engineio.New(engineio.Options{MaxQueue: 1 << 30}, func(s *engineio.Session) engineio.Receiver {
		sessions <- s
		return discard{}
	})
	p := newPipes()
	web := &http.Server{Handler: srv}
	go func() { _ = web.Serve(p) }() // ends with web
	defer web.Close()
	defer srv.Close()
	conn, err := p.dial(b.Context(), "", "")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"+upgradeHeaders+"\r\n")
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with conn
	s := <-sessions
	f := transport.Text("4" + strings.Repeat("x", 150))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Send(f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPoll is a message to a polling client and its way out, without the
// network.
func BenchmarkPoll(b *testing.B) {
	sessions := make(chan *engineio.Session, 1)
	srv := engineio.New(engineio.Options{}, func(s *engineio.Session) engineio.Receiver {
		sessions <- s
		return discard{}
	})
	defer srv.Close()
	srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil))
	s := <-sessions
	f := transport.Text("4" + strings.Repeat("x", 150))
	req := httptest.NewRequest("GET", "/?EIO=4&transport=polling&sid="+s.ID(), nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Send(f); err != nil {
			b.Fatal(err)
		}
		srv.ServeHTTP(httptest.NewRecorder(), req)
	}
}
