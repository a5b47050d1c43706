package websocket_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/websocket"
)

// Frames of all sizes, runs of them and the pongs that gws writes arrive
// whole and in order, at a client that reads by fits and starts: in turns
// they are written by workers and, while its socket is full, by a goroutine.
func TestOrderUnderPressure(t *testing.T) {
	s := serve(t, websocket.Options{MaxQueue: 256 << 20})
	conn, _, p := s.connect(t)
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	const runs, pings = 2000, 1000
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := make([]int, runs)
	for i := range sizes {
		sizes[i] = rnd.IntN(300)
		switch i % 50 {
		case 0:
			sizes[i] = 100_000 + rnd.IntN(200_000)
		case 25:
			sizes[i] = 60_000 + rnd.IntN(10_000)
		}
	}
	body := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), sizes[i]) }

	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range runs {
			err := conn.Send(transport.NewFrames(
				transport.Frame{Data: fmt.Appendf(nil, "%d", i)},
				transport.Frame{Binary: true, Data: []byte(body(i))}))
			if err != nil {
				t.Errorf("Send: %v", err)
				return
			}
		}
	})
	wg.Go(func() {
		for i := range pings {
			p.send(masked(fin|opPing, fmt.Sprint(i)))
		}
	})
	defer wg.Wait()

	for s.blocks.Load() == 0 {
		runtime.Gosched()
	}
	nextRun, nextPong := 0, 0
	for nextRun < runs || nextPong < pings {
		op, payload, err := p.receive()
		if err != nil {
			t.Fatal(err)
		}
		switch op {
		case opPong:
			if payload != fmt.Sprint(nextPong) {
				t.Fatalf("pong %q, want %d", payload, nextPong)
			}
			nextPong++
		case opText:
			if payload != fmt.Sprint(nextRun) {
				t.Fatalf("run %q, want %d", payload, nextRun)
			}
			p.want(opBin, body(nextRun))
			nextRun++
		default:
			t.Fatalf("opcode %x %.40q", op, payload)
		}
	}
}

// What gathers while a client's socket is full leaves in few writes.
func TestCoalescing(t *testing.T) {
	s := serve(t, websocket.Options{MaxQueue: 64 << 20})
	conn, _, p := s.connect(t)
	big := transport.NewFrames(transport.Frame{Binary: true, Data: make([]byte, 8<<20)})
	if err := conn.Send(big); err != nil {
		t.Fatal(err)
	}
	for s.blocks.Load() == 0 { // the kernel does not take 8 MB
		runtime.Gosched()
	}
	const n = 10_000
	for i := range n {
		if err := conn.Send(transport.NewFrames(transport.Frame{Binary: true, Data: binary.BigEndian.AppendUint32(nil, uint32(i))})); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.receive(); err != nil {
		t.Fatal(err)
	}
	before := s.writes.Load()
	for i := range n {
		p.want(opBin, string(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	if w := s.writes.Load() - before; w > 100 {
		t.Errorf("%d writes for %d small frames", w, n)
	}
	conn.Close()
	p.wantCloseAnswered()
	s.acceptor.Close() // and so all writes are counted
	if f := s.frames.Load(); f != n+2 {
		t.Errorf("%d frames counted, want %d", f, n+2)
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	s := serve(t, websocket.Options{})
	conn, _, p := s.connect(t)
	go p.br.WriteTo(discard{})
	f := transport.Text("4" + strings.Repeat("x", 150))
	if n := testing.AllocsPerRun(5000, func() {
		if err := conn.Send(f); err != nil {
			t.Error(err)
		}
		for conn.Buffered() > 64<<10 {
			runtime.Gosched()
		}
	}); n >= 1 {
		t.Errorf("%v allocations per Send", n)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
