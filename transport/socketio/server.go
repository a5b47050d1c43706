package socketio

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/engineio"
)

// Options tune a Server. The zero value is ready for use.
type Options struct {
	// Engine tunes the sessions below: transports, heartbeat, limits, CORS.
	// Its Logger is that of the Server unless set.
	Engine engineio.Options

	// Adapter returns the adapter of a namespace: Cluster.Namespace joins the
	// server to others. Default: a adapter.Local for each. The Server closes
	// what Adapter returns.
	Adapter func(namespace string) adapter.Adapter

	// ConnectTimeout bounds the time in which a client has to join a
	// namespace. Default: 45s.
	ConnectTimeout time.Duration

	// Parser is the wire form of packets, which clients must share. Default:
	// socket.io-parser's, the one that clients have unless told otherwise.
	Parser Parser

	// MaxAttachments bounds the binary attachments of one packet of a client,
	// where Parser is the default. Default: 10.
	MaxAttachments int

	// CleanupEmptyNamespaces closes and drops a dynamic namespace when the last
	// of its sockets of this node has ended. Who keeps it longer gets
	// adapter.ErrClosed from it; the next client makes it anew.
	CleanupEmptyNamespaces bool

	// MaxNamespaces bounds the dynamic namespaces that clients can have this
	// node keep, whose names they choose. A client who asks for one more is
	// told "Invalid namespace". Without CleanupEmptyNamespaces they are kept
	// until Close, so a hostile client can use the bound up. Default: 10000.
	MaxNamespaces int

	Recovery Recovery // of clients that have lost their connection. Default: none.

	// NoClient stops the Server from serving the JavaScript client: the eight
	// files socket.io*.js and their source maps, of socket.io-client's version
	// 4.8.4.
	NoClient bool

	// Logger receives what no caller can be told. Default: slog.Default().
	Logger *slog.Logger

	Hooks Hooks // observe; a nil field is skipped

	Tracer Tracer // follows events through distributed traces. Default: none.
}

// A Server is a Socket.IO server for any net/http mux: mount it at
// "/socket.io/", where clients look for it. All methods may be called
// concurrently.
type Server struct {
	opts    Options
	logger  *slog.Logger
	engine  *engineio.Server
	crew    crew
	closing atomic.Bool
	handing atomic.Bool // while closing, sockets are kept for other nodes to take over
	stopped sync.Once
	moves   sync.WaitGroup // clients that are about to be sent away

	recovery  *recovery // nil: none
	observers observers

	// protocolOf is a field for tests of old clients.
	protocolOf func(*engineio.Session) int

	mu          sync.RWMutex // guards all below, and what says so elsewhere
	namespaces  map[string]*Namespace
	parents     []*ParentNamespace // never changed, but replaced
	children    int                // namespaces that have a parent
	onNamespace []func(*Namespace) // never changed, but replaced
}

var _ http.Handler = (*Server)(nil)

// New returns a Server with the namespace "/".
func New(opts Options) *Server {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Engine.Logger == nil {
		opts.Engine.Logger = opts.Logger
	}
	if opts.Adapter == nil {
		opts.Adapter = func(string) adapter.Adapter { return adapter.NewLocal() }
	}
	if opts.ConnectTimeout <= 0 {
		opts.ConnectTimeout = 45 * time.Second
	}
	if opts.MaxAttachments <= 0 {
		opts.MaxAttachments = 10
	}
	if opts.Parser == nil {
		opts.Parser = jsonParser{opts.MaxAttachments}
	}
	if opts.MaxNamespaces <= 0 {
		opts.MaxNamespaces = 10_000
	}
	s := &Server{
		opts:       opts,
		logger:     opts.Logger,
		protocolOf: protocolOf,
		recovery:   newRecovery(opts),
		namespaces: make(map[string]*Namespace),
	}
	s.crew.init()
	s.engine = engineio.New(opts.Engine, func(session *engineio.Session) engineio.Receiver {
		return newClient(s, session)
	})
	s.Of("/")
	return s
}

// Of returns the namespace of a name, such as "/chat", and makes it if there
// is none. Clients are let into namespaces that exist.
func (s *Server) Of(name string) *Namespace {
	if name == "" || name[0] != '/' {
		name = "/" + name
	}
	s.mu.Lock()
	n := s.namespaces[name]
	if n != nil {
		s.mu.Unlock()
		return n
	}
	var parent *ParentNamespace
	for _, p := range s.parents {
		if p.re != nil && p.re.MatchString(name) {
			parent = p
			break
		}
	}
	n = s.create(name, parent)
	s.mu.Unlock()
	if name != "/" {
		s.announce(n)
	}
	return n
}

// ServeHTTP implements http.Handler: Engine.IO's requests, and the client's
// bundle.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.opts.NoClient && serveBundle(w, r, path.Base(r.URL.Path)) {
		return
	}
	s.engine.ServeHTTP(w, r)
}

// Sessions returns the number of clients connected to this node.
func (s *Server) Sessions() int { return s.engine.Sessions() }

// Shutdown takes no new clients, closes the connections of those there are, so
// that they come back to another node, and returns when all handlers have
// returned. With Recovery, other nodes of the Cluster, if there are any, adopt
// what is kept for clients to come back: see Drain. When ctx is done it cuts what
// is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.heirs() {
		s.handing.Store(true)
	}
	s.closing.Store(true)
	err := s.engine.Shutdown(ctx)
	s.handOver(ctx)
	return errors.Join(err, s.finish())
}

// Close is Shutdown without patience.
func (s *Server) Close() error {
	s.closing.Store(true)
	return errors.Join(s.engine.Close(), s.finish())
}

// finish waits for the handlers and closes the adapters.
func (s *Server) finish() error {
	s.recovery.close()
	for _, n := range s.Namespaces() {
		n.stop()
	}
	s.tellHandover()
	s.moves.Wait() // a moment: their sockets have ended
	s.stopped.Do(s.crew.finish)
	s.mu.RLock()
	defer s.mu.RUnlock()
	var errs []error
	for _, n := range s.namespaces {
		errs = append(errs, n.adapter.Close())
	}
	return errors.Join(errs...)
}
