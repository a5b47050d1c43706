package front

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// HalfOpen bounds the connections from which no request has come in full: those
// that do nothing, that are still at TLS, or that send their headers drop by
// drop. Beyond the bound the oldest is closed for the newest, so that whoever
// holds many loses them first, and a client that asks at once is heard. It is
// wired by Watch. Its methods may be called concurrently.
type HalfOpen struct {
	evicted func()

	mu    sync.Mutex // guards all below
	max   int
	queue list.List // of net.Conn, the oldest in front
	at    map[net.Conn]*list.Element
}

// NewHalfOpen returns a HalfOpen that keeps at most max connections, and calls
// evicted, unless nil, for each that it closes. A max of 0 is no bound.
func NewHalfOpen(max int, evicted func()) *HalfOpen {
	return &HalfOpen{max: max, evicted: evicted, at: make(map[net.Conn]*list.Element)}
}

// SetMax changes the bound for what comes.
func (h *HalfOpen) SetMax(max int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.max = max
}

// Watch has h bound the connections of server, which must not have been started
// and whose hooks it takes.
func (h *HalfOpen) Watch(server *http.Server) {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		h.add(c)
		return context.WithValue(ctx, connKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			h.remove(c)
		}
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			h.remove(c)
		}
		next.ServeHTTP(w, r)
	})
}

type connKey struct{}

func (h *HalfOpen) add(c net.Conn) {
	var oldest net.Conn
	h.mu.Lock()
	h.at[c] = h.queue.PushBack(c)
	if h.max > 0 && h.queue.Len() > h.max {
		oldest = h.queue.Remove(h.queue.Front()).(net.Conn)
		delete(h.at, oldest)
	}
	h.mu.Unlock()
	if oldest == nil {
		return
	}
	_ = oldest.Close() // it may have gone by itself
	if h.evicted != nil {
		h.evicted()
	}
}

func (h *HalfOpen) remove(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.at[c]; e != nil {
		h.queue.Remove(e)
		delete(h.at, c)
	}
}

// Len is the number of half-open connections.
func (h *HalfOpen) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queue.Len()
}
