package engineio

import (
	"slices"
	"sync/atomic"

	"github.com/carillonhq/carillon/transport"
)

// An Observer is told what passes through a Server. A nil field is skipped.
// Its functions are called on the goroutine that does the work; they must not
// block, nor call methods of Sessions.
type Observer struct {
	Opened func(transport string)                // a session began
	Closed func(transport string, reason Reason) // a session ended

	// Received is told of each message of a client, and Sent of what is queued
	// for one: of the Engine.IO packets, and of the bytes in them. Heartbeats
	// and other packets of Engine.IO itself do not count.
	Received func(packets, bytes int)
	Sent     func(packets, bytes int)
}

// An Upgrader is a Receiver that is told when its session went from polling to
// WebSocket.
type Upgrader interface {
	// Upgraded is called at most once, not together with Message or Closed.
	Upgraded()
}

// observers are an Observer each; the slice is never changed, but replaced.
type observers struct{ all atomic.Pointer[[]*Observer] }

// Observe has o called until stop is. Unlike Options.Hooks it can come later.
func (s *Server) Observe(o Observer) (stop func()) {
	change := func(f func([]*Observer) []*Observer) {
		s.mu.Lock()
		defer s.mu.Unlock()
		all := f(s.observers.get())
		s.observers.all.Store(&all)
	}
	change(func(all []*Observer) []*Observer { return append(slices.Clip(all), &o) })
	return func() {
		change(func(all []*Observer) []*Observer {
			return slices.DeleteFunc(slices.Clone(all), func(other *Observer) bool { return other == &o })
		})
	}
}

func (o *observers) get() []*Observer {
	if all := o.all.Load(); all != nil {
		return *all
	}
	return nil
}

// PollingSessions is the number of sessions whose transport is polling.
func (s *Server) PollingSessions() int { return int(s.pollers.Load()) }

func (s *Server) opened(name string) {
	if name == Polling {
		s.pollers.Add(1)
	}
	if f := s.opts.Hooks.Opened; f != nil {
		f(name)
	}
	for _, o := range s.observers.get() {
		if o.Opened != nil {
			o.Opened(name)
		}
	}
}

func (s *Server) closed(name string, reason Reason, err error) {
	if name == Polling {
		s.pollers.Add(-1)
	}
	if f := s.opts.Hooks.Closed; f != nil {
		f(name, reason, err)
	}
	for _, o := range s.observers.get() {
		if o.Closed != nil {
			o.Closed(name, reason)
		}
	}
}

func (s *Server) upgraded(recv Receiver) {
	s.pollers.Add(-1)
	if f := s.opts.Hooks.Upgraded; f != nil {
		f()
	}
	if u, ok := recv.(Upgrader); ok {
		u.Upgraded()
	}
}

func (s *Server) received(bytes int) {
	for _, o := range s.observers.get() {
		if o.Received != nil {
			o.Received(1, bytes)
		}
	}
}

func (s *Server) sent(f *transport.Frames) {
	all := s.observers.get()
	if len(all) == 0 {
		return
	}
	bytes := 0
	for _, p := range f.Parts() {
		bytes += len(p.Data)
	}
	for _, o := range all {
		if o.Sent != nil {
			o.Sent(len(f.Parts()), bytes)
		}
	}
}
