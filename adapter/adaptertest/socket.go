package adaptertest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
)

// A Socket is an adapter.Socket that remembers what happened to it.
type Socket struct {
	id     adapter.SocketID
	refuse atomic.Bool // Deliver reports false

	mu  sync.Mutex // guards got
	got []string
}

var _ adapter.Socket = (*Socket)(nil)

// NewSocket returns a Socket for a, which it is not added to.
func NewSocket(a adapter.Adapter) *Socket { return &Socket{id: a.NewID()} }

// ID implements adapter.Socket.
func (s *Socket) ID() adapter.SocketID { return s.id }

// Deliver implements adapter.Socket.
func (s *Socket) Deliver(p *adapter.Packet) bool {
	text := p.Shared(func(data []byte) any { return string(data) }).(string)
	if p.Volatile {
		text = "volatile " + text
	}
	s.add(text)
	return !s.refuse.Load()
}

// Disconnect implements adapter.Socket.
func (s *Socket) Disconnect(close bool) { s.add(fmt.Sprint("disconnect ", close)) }

// Info implements adapter.Socket.
func (s *Socket) Info() []byte { return []byte("info of " + s.id) }

func (s *Socket) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, what)
}

// Take returns what happened since it was last called: the text of each packet
// (behind "volatile " if it was), and "disconnect true" or "disconnect false".
func (s *Socket) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}
