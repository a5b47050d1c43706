package engineio_test

import (
	"encoding/binary"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
)

// fakePeers are one other node, "peer-2", that says what the test wants.
type fakePeers struct {
	mu   sync.Mutex // guards sent
	sent int
	h    engineio.PeerHandler
}

func (p *fakePeers) Self() string        { return "peer-1" }
func (p *fakePeers) Up(node string) bool { return node == "peer-2" }
func (p *fakePeers) Any() bool           { return true }

func (p *fakePeers) Send(string, []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	return nil
}

func (p *fakePeers) Listen(h engineio.PeerHandler) func() {
	p.h = h
	return func() {}
}

// Whatever another node says, a Server goes on.
func FuzzPeerMessage(f *testing.F) {
	text := func(s string) []byte { return append(binary.AppendUvarint(nil, uint64(len(s))), s...) }
	for kind := range byte(20) {
		f.Add([]byte{1, kind})
		f.Add([]byte{1, kind, 1})
		f.Add([]byte{1, kind, 1, 1})
		f.Add([]byte{1, kind, 1, 1, 1, 1, 1, 1})
		f.Add(append([]byte{1, kind, 1, 4}, text("peer-1-fuzz0")...))
		f.Add(append(append([]byte{1, kind, 2, 4}, text("peer-1-fuzz0")...), 0, 2, '4', 'a'))
		f.Add(append([]byte{1, kind, 3}, text(`{"Protocol":4}`)...))
		f.Add(append([]byte{1, kind}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		link := &fakePeers{}
		opened := make(chan *peer, 1)
		srv := engineio.New(engineio.Options{Peers: link, Logger: slog.New(slog.DiscardHandler), PingInterval: time.Hour}, func(s *engineio.Session) engineio.Receiver {
			p := &peer{Session: s, closed: make(chan end, 2)}
			opened <- p
			return p
		})
		defer srv.Close()
		// A session here whose ID is not guessed, and one whose WebSocket, and
		// one whose poll, are there.
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, httptest.NewRequest("GET", "/engine.io/?EIO=4&transport=polling", nil))
		sid := (<-opened).ID()
		for kind, rest := range map[byte][]byte{5: nil, 1: nil} { // an upgrade, a GET
			link.h.Message("peer-2", append(append([]byte{1, kind, 9, 4}, text(sid)...), rest...))
		}
		link.h.Message("peer-2", []byte{1, 6, 1}) // probed
		link.h.Message("peer-2", []byte{1, 7, 1}) // upgraded
		message = []byte(strings.ReplaceAll(string(message), "peer-1-fuzz0", sid))
		link.h.Message("peer-2", message)
		link.h.Message("peer-3", message)
		link.h.Lost("peer-2")
	})
}
