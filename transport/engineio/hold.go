package engineio

import (
	"slices"
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport"
)

const (
	// holdUpgrade is how long a session is held whose WebSocket has come to
	// another node, so that the upgrade can be completed.
	holdUpgrade = 3 * time.Second

	// holdMax bounds what is kept of a held session's client, in bytes.
	holdMax = 64 << 10
)

// A hold is the Receiver of a new session that may yet move to another node: the
// application does not know of it, and what its client sends waits. When it is
// clear where the session stays, the hold hands all to the application's own
// Receiver.
type hold struct {
	s *Session

	mu     sync.Mutex // guards the fields below; taken under Session.mu
	state  holdState
	frames []transport.Frame // what was sent
	size   int
	timer  alarm
	due    time.Time     // when timer was last set for
	recv   Receiver      // nil until accept has returned
	ended  bool          // Ended was called
	opened chan struct{} // closed when recv has heard all that was held
}

type holdState int

const (
	holding   holdState = iota
	releasing           // accept, and then recv, are being called
	released
	gone // moved, or at an end: the application never hears of it
)

var (
	_ Receiver = (*hold)(nil)
	_ Ender    = (*hold)(nil)
	_ Mover    = (*hold)(nil)
	_ Upgrader = (*hold)(nil)
)

// receiver returns who hears of a new session: the application, or a hold.
func (s *Server) receiver(sess *Session, name string) Receiver {
	o := &s.opts
	if name != Polling || sess.protocol != 4 || s.peering == nil || o.UpgradeHold <= 0 || len(o.upgrades(name)) == 0 || !o.Peers.Any() {
		return s.accept(sess)
	}
	h := &hold{s: sess, opened: make(chan struct{})}
	h.timer = alarm{wg: &s.wg, f: h.timeout}
	h.within(o.UpgradeHold)
	return h
}

// held returns the session's hold, if it has or had one. It needs Session.mu.
func (s *Session) held() *hold {
	h, _ := s.recv.(*hold)
	return h
}

// within releases the session after d, unless it is called again. A nil hold
// does nothing.
func (h *hold) within(d time.Duration) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == holding {
		h.due = time.Now().Add(d)
		h.timer.set(d)
	}
}

func (h *hold) timeout() {
	h.mu.Lock()
	early := time.Now().Before(h.due)
	h.mu.Unlock()
	if !early {
		h.release()
	}
}

// release hands the session to the application, if that has not begun, and
// returns when that has heard all that was held. A nil hold does nothing.
func (h *hold) release() {
	if h == nil {
		return
	}
	h.mu.Lock()
	if h.state != holding {
		h.mu.Unlock()
		return
	}
	h.state = releasing
	h.timer.stop()
	h.mu.Unlock()

	var recv Receiver
	defer func() { // also if the application panics
		h.mu.Lock()
		h.state = released
		if h.recv == nil {
			h.recv = deaf{}
		}
		h.mu.Unlock()
		close(h.opened)
		if v := recover(); v != nil {
			h.s.srv.peering.panicked(v)
			recv = nil
		}
		if recv == nil {
			h.s.Abort(ReasonForcedClose)
		}
	}()
	recv = h.s.srv.accept(h.s)
	if recv == nil {
		return
	}
	h.mu.Lock()
	h.recv = recv
	ended := h.ended
	frames := h.frames // the last: whoever comes now waits
	h.frames = nil
	h.mu.Unlock()
	if e, ok := recv.(Ender); ok && ended {
		e.Ended()
	}
	for _, f := range frames {
		if recv.Message(f.Binary, f.Data) != nil {
			h.s.Abort(ReasonParseError)
			return
		}
	}
}

// take ends the hold for a session that moves, and returns what was held. It
// reports false if it is too late. A nil hold does nothing.
func (h *hold) take() ([]transport.Frame, bool) {
	if h == nil {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != holding {
		return nil, false
	}
	h.state = gone
	h.timer.stop()
	return h.frames, true
}

// Message implements Receiver.
func (h *hold) Message(binary bool, data []byte) error {
	h.mu.Lock()
	switch h.state {
	case holding:
		if h.size+len(data) <= holdMax {
			h.size += len(data) + itemCost
			h.frames = append(h.frames, transport.Frame{Binary: binary, Data: slices.Clone(data)}) // it may be a view into something large
			h.mu.Unlock()
			return nil
		}
		h.mu.Unlock()
		h.release()
		<-h.opened
	case releasing:
		h.mu.Unlock()
		<-h.opened
	case released:
		h.mu.Unlock()
	case gone:
		h.mu.Unlock()
		return errEnded
	}
	return h.recv.Message(binary, data)
}

// itemCost is what each message of a held session counts besides its bytes.
const itemCost = 64

// Closed implements Receiver.
func (h *hold) Closed(reason Reason, err error) {
	h.mu.Lock()
	state := h.state
	if state == holding {
		h.state = gone
		h.timer.stop()
	}
	h.mu.Unlock()
	if state == releasing {
		<-h.opened
	}
	if state == releasing || state == released {
		h.recv.Closed(reason, err)
	}
}

// receiver returns the application's Receiver, if there is one already.
func (h *hold) receiver() Receiver {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.recv
}

// Ended implements Ender.
func (h *hold) Ended() {
	h.mu.Lock()
	h.ended = true
	recv := h.recv
	h.mu.Unlock()
	if e, ok := recv.(Ender); ok {
		e.Ended()
	}
}

// Move implements Mover.
func (h *hold) Move() {
	if m, ok := h.receiver().(Mover); ok {
		m.Move()
		return
	}
	h.s.GoAway()
}

// Upgraded implements Upgrader.
func (h *hold) Upgraded() {
	if u, ok := h.receiver().(Upgrader); ok {
		u.Upgraded()
	}
}
