package websocket_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

// counts is what the Hooks of a test's Acceptor saw.
type counts struct {
	frames, bytes, writes                     atomic.Int64
	blocks, behind, slow, dropped, violations atomic.Int64
	panics                                    atomic.Int64
}

func (n *counts) hooks() websocket.Hooks {
	return websocket.Hooks{
		Written: func(frames, bytes int) {
			n.writes.Add(1)
			n.frames.Add(int64(frames))
			n.bytes.Add(int64(bytes))
		},
		Blocked: func(change int) {
			n.behind.Add(int64(change))
			if change > 0 {
				n.blocks.Add(1)
			}
		},
		Slow:     func() { n.slow.Add(1) },
		Dropped:  func() { n.dropped.Add(1) },
		Violated: func(error) { n.violations.Add(1) },
		Panicked: func() { n.panics.Add(1) },
	}
}

// A server accepts every request and hands out what came of it.
type server struct {
	*counts
	t        testing.TB
	acceptor *websocket.Acceptor
	addr     string
	conns    chan *websocket.Conn // accepted, not started
}

func serve(t testing.TB, opts websocket.Options) *server {
	t.Helper()
	s := &server{counts: new(counts), t: t, conns: make(chan *websocket.Conn, 1000)}
	opts.Hooks = s.hooks()
	opts.Logger = slog.New(slog.DiscardHandler)
	s.acceptor = websocket.New(opts)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.acceptor.Accept(w, r)
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		s.conns <- c
	}))
	s.addr = srv.Listener.Addr().String()
	t.Cleanup(srv.Close)
	t.Cleanup(func() { s.acceptor.Close() })
	return s
}

// connect returns a started Conn, its Receiver and its peer.
func (s *server) connect(t *testing.T) (*websocket.Conn, *transporttest.Recorder, *peer) {
	t.Helper()
	p := dial(t, s.addr, "")
	conn, rec := <-s.conns, transporttest.NewRecorder(t)
	conn.Start(rec)
	return conn, rec, p
}

// A peer is a client that can do wrong.
type peer struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

// upgrade is a valid request, up to its last header.
const upgrade = "GET / HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// dial does the handshake and sends early right behind it.
func dial(t testing.TB, addr, early string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	p := &peer{conn, t, bufio.NewReader(conn)}
	p.send(upgrade + "\r\n" + early)
	p.shake()
	return p
}

// shake reads the answer to the handshake.
func (p *peer) shake() *http.Response {
	p.t.Helper()
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		p.t.Fatalf("handshake: %s", resp.Status)
	}
	return resp
}

func (p *peer) send(bytes string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, bytes); err != nil {
		p.t.Fatal(err)
	}
}

// receive reads one frame. A frame that a server must not send is an error.
func (p *peer) receive() (op byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return 0, "", err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(p.br, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(p.br, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	op = head[0] & 0xf
	switch {
	case err != nil:
		return 0, "", err
	case head[0]&0xf0 != 0x80 || op&7 > 2 || n > 16<<20:
		return 0, "", fmt.Errorf("garbled frame %x of %d bytes", head, n)
	}
	data := make([]byte, n)
	_, err = io.ReadFull(p.br, data)
	return op, string(data), err
}

func (p *peer) want(op byte, payload string) {
	p.t.Helper()
	gotOp, got, err := p.receive()
	if err != nil || gotOp != op || got != payload {
		p.t.Fatalf("received opcode %x %.60q (%v), want opcode %x %.60q", gotOp, got, err, op, payload)
	}
}

// wantClose reads up to a close frame with status, 0 for none, and the end
// of the stream behind it.
func (p *peer) wantClose(status int) {
	p.t.Helper()
	for {
		op, payload, err := p.receive()
		if err != nil {
			p.t.Errorf("the stream ended with %v before a close frame", err)
			return
		}
		if op != opClose {
			continue
		}
		got := 0
		if len(payload) >= 2 {
			got = int(binary.BigEndian.Uint16([]byte(payload)))
		}
		if got != status {
			p.t.Errorf("close frame with status %d, want %d", got, status)
		}
		break
	}
	if _, err := p.br.ReadByte(); !errors.Is(err, io.EOF) {
		p.t.Errorf("behind the close frame: %v, want io.EOF", err)
	}
}

const (
	opText  = 0x1
	opBin   = 0x2
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
	fin     = 0x80
)

// masked encodes a frame as a client has to.
func masked(first byte, payload string) string {
	b := header(first, uint64(len(payload)))
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

const mask = "\x37\xfa\x21\x3d"

// header is all of a masked frame that comes before its payload.
func header(first byte, n uint64) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
	}
	return append(b, mask...)
}
