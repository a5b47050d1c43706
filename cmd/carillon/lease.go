package main

import (
	"errors"
	"sync"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A lease ends a socket when the identity of its client expires, and warns the
// client before.
type lease struct {
	gate   *gate
	socket *socketio.Socket

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	renewal int // number of the renewal that timer belongs to
	over    bool
}

func newLease(g *gate, s *socketio.Socket) *lease { return &lease{gate: g, socket: s} }

// renew makes the lease one until expires, or for ever if that is zero. It
// reports false if the lease is over.
func (l *lease) renew(expires time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.stop()
	l.renewal++
	if !expires.IsZero() {
		n := l.renewal
		l.timer = time.AfterFunc(time.Until(expires)-l.gate.warning(), func() { l.warn(n, expires) })
	}
	return true
}

// end is for a socket that has ended.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.stop()
}

// stop needs mu. A timer that has fired meanwhile is of an earlier renewal.
func (l *lease) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// current reports whether renewal n is the last one.
func (l *lease) current(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return n == l.renewal && !l.over
}

// expiring warns a client. Both are in milliseconds, At of Unix time.
type expiring struct {
	At int64 `json:"at"`
	In int64 `json:"in"`
}

func (l *lease) warn(n int, expires time.Time) {
	if !l.current(n) {
		return
	}
	l.emit("auth:expiring", expiring{At: expires.UnixMilli(), In: max(time.Until(expires).Milliseconds(), 0)})
	l.mu.Lock()
	defer l.mu.Unlock()
	if n == l.renewal && !l.over {
		l.timer = time.AfterFunc(time.Until(expires), func() { l.expire(n) })
	}
}

// expire tells the client why and ends its connection: it is nobody now, in
// whichever namespace.
func (l *lease) expire(n int) {
	l.mu.Lock()
	due := n == l.renewal && !l.over
	l.over = l.over || due
	l.mu.Unlock()
	if !due {
		return
	}
	l.emit("auth:expired", struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{auth.TokenExpired, "the token has expired"})
	if f := l.gate.hooks.Expired; f != nil {
		f()
	}
	l.gate.logger.Debug("identity expired", "socket", l.socket.ID())
	l.socket.Disconnect(true)
}

func (l *lease) emit(event string, arg any) {
	if err := l.socket.Emit(event, arg); err != nil && !errors.Is(err, socketio.ErrDisconnected) {
		l.gate.logger.Error("expiry not told", "socket", l.socket.ID(), "error", err)
	}
}
