package engineio

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/cors"

	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/websocket"
)

// A Server answers the requests of Engine.IO clients and holds their
// sessions. Its methods may be called concurrently.
type Server struct {
	opts      Options
	accept    func(*Session) Receiver
	cors      *cors.Cors // nil: none
	path      string
	log       *slog.Logger
	polling   *polling.Acceptor
	websocket *websocket.Acceptor
	observers observers
	peering   *peering     // nil: by itself
	pollers   atomic.Int64 // sessions over polling

	// wg counts the sessions, until their Receiver's Closed has returned,
	// and their armed timers.
	wg sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	sessions map[string]*Session
	stopped  bool // no new sessions
}

// New returns a Server. It starts nothing until the first request, but listens to
// Options.Peers until its Close.
//
// accept is called for each new session, when the open packet is queued and
// before anything is read from the client; the session may be used at once.
// If accept returns nil the session is aborted.
func New(opts Options, accept func(*Session) Receiver) *Server {
	opts = opts.withDefaults()
	s := &Server{
		opts:   opts,
		accept: accept,
		cors:   opts.CORS.build(),
		path:   opts.path(),
		log:    opts.Logger,
		polling: polling.New(polling.Options{
			MaxPayload:   opts.MaxPayload,
			MaxQueue:     opts.MaxQueue,
			MinCompress:  opts.MinCompress,
			WriteTimeout: opts.WriteTimeout,
			CloseTimeout: opts.CloseTimeout,
			Hooks:        opts.Hooks.Polling,
		}),
		websocket: websocket.New(websocket.Options{
			MaxFrame:     opts.MaxPayload,
			MaxQueue:     opts.MaxQueue,
			WriteTimeout: opts.WriteTimeout,
			Deflate:      opts.Deflate,
			Logger:       opts.Logger,
			Hooks:        opts.Hooks.WebSocket,
		}),
		sessions: make(map[string]*Session),
	}
	if opts.Peers != nil {
		s.peering = newPeering(s, opts.Peers)
	}
	return s
}

// Sessions is the number of sessions that have not ended.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Shutdown opens no more sessions, closes those that there are (see
// Session.GoAway), and the WebSockets here of other nodes' sessions, and returns
// when all have ended. New clients are answered
// with status 503 and the Engine.IO error 4, "Server shutting down". When ctx
// ends before, what is left is aborted, and ctx's error is returned. It must
// not be called by a Receiver.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, sess := range s.stop() {
		sess.GoAway()
	}
	for _, e := range s.peering.allEdges() {
		e.move()
	}
	s.peering.leave()
	done := make(chan struct{})
	go func() { // ends with the last session, at the latest by Close
		s.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, s.Close())
}

// Close aborts all sessions and returns when nothing of them runs any more.
// It must not be called by a Receiver.
func (s *Server) Close() error {
	for _, sess := range s.stop() {
		sess.Abort(ReasonForcedClose)
	}
	s.peering.abort()
	s.wg.Wait()
	s.peering.close()
	return errors.Join(s.websocket.Close(), s.polling.Close())
}

// stop refuses new sessions and returns those that there are.
func (s *Server) stop() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	all := make([]*Session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		all = append(all, sess)
	}
	return all
}

// register makes a place for a session that is opening, or says why not.
func (s *Server) register(sess *Session) (refusal, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return shuttingDown, false
	}
	if _, taken := s.sessions[sess.id]; taken {
		return badRequest.because("ID_GENERATION_ERROR", "error", errTaken), false
	}
	s.sessions[sess.id] = sess
	s.wg.Add(1)
	return refusal{}, true
}

// count has the end of the Server wait for one Done of wg more, unless it is
// stopping.
func (s *Server) count() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.wg.Add(1)
	}
	return !s.stopped
}

// forget undoes register, but for the count in wg.
func (s *Server) forget(sess *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
}

// lookup returns a session that is past its opening, or nil.
func (s *Server) lookup(id string) *Session {
	s.mu.Lock()
	sess := s.sessions[id]
	s.mu.Unlock()
	if sess == nil || sess.Transport() == "" {
		return nil
	}
	return sess
}

// Edges is the number of WebSockets here of sessions of other nodes.
func (s *Server) Edges() int { return len(s.peering.allEdges()) }

// Pipes is the number of sessions here whose WebSocket is at another node.
func (s *Server) Pipes() int {
	if s.peering == nil {
		return 0
	}
	s.peering.mu.Lock()
	defer s.peering.mu.Unlock()
	return len(s.peering.pipes)
}

// Buffered is the number of bytes that are queued for all clients and not yet
// on their way. It goes through all sessions.
func (s *Server) Buffered() int {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	bytes := 0
	for _, sess := range all {
		bytes += sess.Buffered()
	}
	return bytes
}
