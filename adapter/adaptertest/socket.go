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
	about  string      // if not empty, what Info returns

	mu      sync.Mutex // guards all below
	got     []string
	auto    string                                         // what Ask is answered with at once, if not empty
	answers map[*adapter.Packet]func(body []byte, ok bool) // owed
	asked   chan struct{}                                  // closed when answers is not empty
}

var _ adapter.Answerer = (*Socket)(nil)

// NewSocket returns a Socket for a, which it is not added to.
func NewSocket(a adapter.Adapter) *Socket {
	return &Socket{
		id:      a.NewID(),
		answers: make(map[*adapter.Packet]func(body []byte, ok bool)),
		asked:   make(chan struct{}),
	}
}

// ID implements adapter.Socket.
func (s *Socket) ID() adapter.SocketID { return s.id }

// Deliver implements adapter.Socket.
func (s *Socket) Deliver(p *adapter.Packet) bool {
	text := p.Shared(func(data []byte) any { return string(data) }).(string)
	if p.NoCompress {
		text = "uncompressed " + text
	}
	if p.Volatile {
		text = "volatile " + text
	}
	s.add(text)
	return !s.refuse.Load()
}

// Ask implements adapter.Answerer.
func (s *Socket) Ask(p *adapter.Packet, answer func(body []byte, ok bool)) bool {
	s.add("asked " + string(p.Data))
	if s.refuse.Load() {
		return false
	}
	s.mu.Lock()
	auto := s.auto
	if auto == "" {
		s.answers[p] = answer
		if len(s.answers) == 1 {
			close(s.asked)
		}
	}
	s.mu.Unlock()
	if auto != "" {
		answer([]byte(auto), true)
		answer([]byte("again"), true)
	}
	return true
}

// AnswerAll has the socket answer whatever it is asked from then on, at once
// and twice.
func (s *Socket) AnswerAll(body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auto = body
}

// Forget implements adapter.Answerer.
func (s *Socket) Forget(p *adapter.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled(p)
}

// settled needs mu.
func (s *Socket) settled(p *adapter.Packet) {
	if _, owed := s.answers[p]; !owed {
		return
	}
	delete(s.answers, p)
	if len(s.answers) == 0 {
		s.asked = make(chan struct{})
	}
}

// Owes returns the number of answers that are waited for.
func (s *Socket) Owes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}

// Asked is closed while an answer is waited for.
func (s *Socket) Asked() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Answer answers all that the socket was asked, twice.
func (s *Socket) Answer(body string) { s.answer([]byte(body), true) }

// Go leaves all that the socket was asked without an answer.
func (s *Socket) Go() { s.answer(nil, false) }

func (s *Socket) answer(body []byte, ok bool) {
	s.mu.Lock()
	var owed []func([]byte, bool)
	for p, f := range s.answers {
		owed = append(owed, f)
		s.settled(p)
	}
	s.mu.Unlock()
	for _, f := range owed {
		f(body, ok)
		f([]byte("again"), true)
	}
}

// Disconnect implements adapter.Socket.
func (s *Socket) Disconnect(close bool) { s.add(fmt.Sprint("disconnect ", close)) }

// Info implements adapter.Socket.
func (s *Socket) Info() []byte {
	if s.about != "" {
		return []byte(s.about)
	}
	return []byte("info of " + s.id)
}

func (s *Socket) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, what)
}

// Heard returns how many things happened since Take was last called.
func (s *Socket) Heard() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// Take returns what happened since it was last called: "disconnect true" or
// "disconnect false", and the text of each packet, behind "asked " if it wants
// an answer, and else behind "volatile " and "uncompressed " if it is.
func (s *Socket) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}
