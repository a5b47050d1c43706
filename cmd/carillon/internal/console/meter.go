package console

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A Meter counts what passes through a node while its Console is watched. It
// takes no lock where messages pass, and while nobody watches it counts nothing.
// The zero value is ready for use; hand its hooks to the Bus and the Server, and
// then the Meter itself to New.
type Meter struct {
	on                  atomic.Bool
	in, out             atomic.Uint64 // messages of and to other nodes
	eventsIn, eventsOut atomic.Uint64 // of and to clients
	lags                sync.Map      // *lags by broker.NodeID
	trouble             atomic.Pointer[trouble]
}

// trouble is the last thing that the link to the broker suffered.
type trouble struct {
	text string
	at   time.Time
}

// Broker returns next with what a Meter counts added to it: what next has is
// called too.
func (m *Meter) Broker(next broker.Hooks) broker.Hooks {
	hooks := next
	hooks.Published = func(messages, bytes int, took time.Duration, err error) {
		if err == nil && m.on.Load() {
			m.out.Add(uint64(messages))
		}
		if next.Published != nil {
			next.Published(messages, bytes, took, err)
		}
	}
	hooks.Received = func(messages, bytes int) {
		if m.on.Load() {
			m.in.Add(uint64(messages))
		}
		if next.Received != nil {
			next.Received(messages, bytes)
		}
	}
	hooks.Lag = func(from broker.Member, lag time.Duration) {
		if m.on.Load() {
			m.lag(from.ID).add(lag)
		}
		if next.Lag != nil {
			next.Lag(from, lag)
		}
	}
	hooks.Link = func(l broker.Link) { // whether watched or not: it is rare, and asked for afterwards
		if l.Err != nil {
			m.trouble.Store(&trouble{text: discreet(l.Err.Error()), at: time.Now()})
		}
		if next.Link != nil {
			next.Link(l)
		}
	}
	return hooks
}

// Sockets is Broker for the Server. What the console itself says is not counted.
func (m *Meter) Sockets(next socketio.Hooks) socketio.Hooks {
	count := func(n *atomic.Uint64, next func(string)) func(string) {
		return func(namespace string) {
			if m.on.Load() && namespace != Namespace {
				n.Add(1)
			}
			if next != nil {
				next(namespace)
			}
		}
	}
	next.Received = count(&m.eventsIn, next.Received)
	next.Sent = count(&m.eventsOut, next.Sent)
	return next
}

// counts are what a Meter had counted at some time.
type counts struct {
	in, out, eventsIn, eventsOut uint64
	at                           time.Time
}

func (m *Meter) counts() counts {
	return counts{m.in.Load(), m.out.Load(), m.eventsIn.Load(), m.eventsOut.Load(), time.Now()}
}

// start and stop have the Meter count, from nothing as to lags.
func (m *Meter) start() { m.on.Store(true) }

func (m *Meter) stop() {
	m.on.Store(false)
	m.lags.Clear()
}

func (m *Meter) lag(from broker.NodeID) *lags {
	if l, ok := m.lags.Load(from); ok {
		return l.(*lags)
	}
	l, _ := m.lags.LoadOrStore(from, new(lags))
	return l.(*lags)
}
