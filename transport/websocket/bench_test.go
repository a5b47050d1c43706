package websocket_test

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/websocket"
)

// echo is a Receiver that answers with what it hears.
type echo struct{ conn *websocket.Conn }

func (r echo) Frame(binary bool, data []byte) error {
	return r.conn.Send(transport.NewFrames(transport.Frame{Binary: binary, Data: data}))
}

func (echo) Closed(error) {}

// BenchmarkEcho has one client send frames of 150 bytes and wait for as many
// answers, one at a time and 16 at a time. Most of it is system calls.
func BenchmarkEcho(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(map[int]string{1: "one", 16: "sixteen"}[depth], func(b *testing.B) {
			s := serve(b, websocket.Options{})
			p := dial(b, s.addr, "")
			conn := <-s.conns
			conn.Start(echo{conn})
			out := []byte(strings.Repeat(masked(fin|opText, strings.Repeat("x", 150)), depth))
			in := make([]byte, depth*(4+150))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Conn.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(p.br, in); err != nil {
					b.Fatal(err)
				}
			}
			report(b, s, b.N*depth)
		})
	}
}

// BenchmarkFanOut sends each frame of 150 bytes to 200 clients.
func BenchmarkFanOut(b *testing.B) {
	s := serve(b, websocket.Options{})
	conns := make([]*websocket.Conn, 200)
	for i := range conns {
		p := dial(b, s.addr, "")
		conns[i] = <-s.conns
		conns[i].Start(echo{conns[i]})
		go io.Copy(io.Discard, p.Conn) // ends with the connection
	}
	f := transport.Text("4" + strings.Repeat("x", 150))
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range conns {
			for c.Buffered() > 256<<10 {
				runtime.Gosched()
			}
			if err := c.Send(f); err != nil {
				b.Fatal(err)
			}
		}
	}
	report(b, s, b.N*len(conns))
}

func report(b *testing.B, s *server, deliveries int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(deliveries), "ns/frame")
	b.ReportMetric(float64(s.frames.Load())/float64(s.writes.Load()), "frames/write")
}
