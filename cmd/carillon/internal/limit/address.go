package limit

import (
	"net/netip"
	"time"
)

// address is what is known of one.
type address struct {
	connections int
	handshakes  bucket
	joins       bucket
}

// sweepEvery is how often addresses without a trace are forgotten at most.
const sweepEvery = 10 * time.Second

// prefix is what counts as one address: of IPv6 the /64, as whoever has one
// address has all of them.
func prefix(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}

// Admit counts a connection from an address until release is called, or returns
// a *Refused.
func (l *Limiter) Admit(addr netip.Addr) (release func(), err error) {
	limits, now, key := l.limits.Load(), time.Now(), prefix(addr)
	l.mu.Lock()
	a := l.address(key, now)
	refused := l.admit(limits, a, now)
	if refused == nil {
		l.connections++
		a.connections++
	}
	l.mu.Unlock()
	if refused != nil {
		return nil, l.refuse(refused)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.connections--
		a.connections--
	}, nil
}

// admit needs mu. The address comes first, so that one that is too fast takes
// nothing from the others.
func (l *Limiter) admit(limits *Limits, a *address, now time.Time) *Refused {
	if wait, _ := a.handshakes.take(limits.HandshakesPerAddress, 1, now); wait > 0 {
		return tooFast(HandshakesPerAddress, "new connections from this address", limits.HandshakesPerAddress, wait)
	}
	if most := limits.ConnectionsPerAddress; most > 0 && a.connections >= most {
		return tooMany(ConnectionsPerAddress, "too many connections from this address: at most %d", most)
	}
	if most := limits.Connections; most > 0 && l.connections >= most {
		return tooMany(Connections, "this server is full: at most %d connections", most)
	}
	if wait, _ := l.handshakes.take(limits.Handshakes, 1, now); wait > 0 {
		return tooFast(Handshakes, "new connections", limits.Handshakes, wait)
	}
	return nil
}

// Join counts an attempt to enter a namespace, of which a connection can make
// many: a *Refused says that the address makes more than it may make
// handshakes.
func (l *Limiter) Join(addr netip.Addr) error {
	limits, now := l.limits.Load(), time.Now()
	l.mu.Lock()
	wait, _ := l.address(prefix(addr), now).joins.take(limits.HandshakesPerAddress, 1, now)
	l.mu.Unlock()
	if wait > 0 {
		return l.refuse(tooFast(HandshakesPerAddress, "attempts from this address", limits.HandshakesPerAddress, wait))
	}
	return nil
}

// address needs mu.
func (l *Limiter) address(key netip.Prefix, now time.Time) *address {
	a := l.addresses[key]
	if a == nil {
		l.sweep(now)
		a = new(address)
		l.addresses[key] = a
	}
	return a
}

// sweep forgets addresses that a new one would be no different from.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	for key, a := range l.addresses {
		if a.connections == 0 && a.handshakes.full(now) && a.joins.full(now) {
			delete(l.addresses, key)
		}
	}
}
