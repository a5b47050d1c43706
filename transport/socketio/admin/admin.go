package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// ErrNoAuth says that Options hold neither credentials nor NoAuth.
var ErrNoAuth = errors.New("admin: a user name and a password's hash are needed, or NoAuth")

// Options tune Instrument. Who may log in has to be said.
type Options struct {
	// Namespace is where administrators connect to. Default: "/admin".
	Namespace string

	// Username and PasswordHash, a bcrypt hash, are what an administrator logs
	// in with.
	Username     string
	PasswordHash string

	// NoAuth lets in everyone who can reach the server, without a login.
	NoAuth bool

	// SessionLife is how long a browser stays logged in. Default: 24h.
	SessionLife time.Duration

	// ReadOnly lets administrators see, but not emit, disconnect, or make
	// sockets join and leave rooms.
	ReadOnly bool

	// Development shows each socket, room and event: heavy, see the package's
	// documentation.
	Development bool

	// ServerID names this node in the UI; no two nodes may share it. Default:
	// the host's name and the process id.
	ServerID string

	// Logger receives what no caller can be told, and what administrators do.
	// Default: slog.Default().
	Logger *slog.Logger
}

// An Admin is what Instrument added to a Server.
type Admin struct {
	io        *socketio.Server
	namespace *socketio.Namespace
	opts      Options
	logger    *slog.Logger
	door      *door // nil: everyone may come in
	stats     *stats
	queue     queue
	done      chan struct{}

	wg sync.WaitGroup // run, and the lists that are being sent

	mu      sync.Mutex // guards all below
	closed  bool
	stops   []func()
	watched map[*socketio.Namespace]func() // how to stop watching its rooms

	off atomic.Bool // as closed
}

// Instrument lets administrators into a namespace of io, which should have no
// handlers of its own: it panics if it handles what administrators send. Call
// it once for a Server, before clients connect.
func Instrument(io *socketio.Server, opts Options) (*Admin, error) {
	if opts.Namespace == "" {
		opts.Namespace = "/admin"
	}
	if opts.SessionLife <= 0 {
		opts.SessionLife = 24 * time.Hour
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	a := &Admin{
		io:      io,
		opts:    opts,
		logger:  opts.Logger.With("component", "admin"),
		done:    make(chan struct{}),
		watched: make(map[*socketio.Namespace]func()),
		queue:   queue{wake: make(chan struct{}, 1)},
	}
	if !opts.NoAuth {
		if opts.Username == "" || opts.PasswordHash == "" {
			return nil, ErrNoAuth
		}
		if err := CheckHash(opts.PasswordHash); err != nil {
			return nil, err
		}
		a.door = newDoor(opts.Username, opts.PasswordHash, opts.SessionLife)
	}
	a.stats = newStats(opts.ServerID)
	a.namespace = io.Of(opts.Namespace)
	a.namespace.Use(a.enter)
	a.namespace.OnConnect(a.welcome)
	a.command("emit", a.emit)
	a.command("join", a.join)
	a.command("leave", a.leave)
	a.command("_disconnect", a.disconnect)

	observer := socketio.Observer{Engine: a.stats.observer()}
	if opts.Development {
		observer.Upgraded, observer.DataSet = a.upgraded, a.dataSet
	}
	a.stops = append(a.stops, io.Observe(observer))
	if opts.Development {
		io.OnNamespace(a.watch)
		for _, n := range io.Namespaces() {
			a.watch(n)
		}
	}
	a.wg.Go(a.run) // ends with done
	return a, nil
}

// Close disconnects this node's administrators, lets none in any more, and
// returns when nothing of the Admin runs. It may be called again. Where the
// Server ends too, close that first: browsers whose connection ends come back,
// to another node, and those that are disconnected do not.
func (a *Admin) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		a.wg.Wait()
		return nil
	}
	a.closed = true
	a.off.Store(true)
	stops := a.stops
	for _, stop := range a.watched {
		stops = append(stops, stop)
	}
	clear(a.watched)
	close(a.done)
	a.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	_ = a.namespace.Local().DisconnectSockets(false) // fails if io is closed, and all are gone
	a.wg.Wait()
	return nil
}

// run tells administrators, one thing at a time, until Close.
func (a *Admin) run() {
	ticker := time.NewTicker(statsInterval)
	defer ticker.Stop()
	a.tellStats()
	for {
		select {
		case <-a.done:
			return
		case <-ticker.C:
			a.tellStats()
			a.prune()
		case <-a.queue.wake:
			for _, m := range a.queue.take() {
				a.send(m)
			}
		}
	}
}

// silent reports whether no administrator can be there to listen.
func (a *Admin) silent() bool {
	return a.off.Load() || a.namespace.Len() == 0 && a.namespace.Alone()
}

// send emits to the administrators of all nodes.
func (a *Admin) send(m message) {
	to := a.namespace.To()
	if m.copied {
		to = to.Volatile() // a busy server must not cut who watches it
	}
	if err := to.Emit(m.event, m.args...); err != nil {
		a.logger.Debug("administrators not told", "event", m.event, "error", err)
	}
}

// welcome tells a new administrator what there is.
func (a *Admin) welcome(ctx context.Context, s *socketio.Socket) {
	failed := func(err error) {
		if err != nil && !errors.Is(err, socketio.ErrDisconnected) && ctx.Err() == nil {
			a.logger.Warn("administrator not told what there is", "error", err)
		}
	}
	failed(a.introduce(s))
	if !a.opts.Development {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.wg.Go(func() { failed(a.list(ctx, s)) }) // ends with the socket, at the latest
}

func (a *Admin) introduce(s *socketio.Socket) error {
	if a.off.Load() { // since it came in
		s.Disconnect(false)
		return nil
	}
	if a.door != nil && isLogin(s) {
		if err := s.Emit("session", a.door.sessions.issue()); err != nil {
			return err
		}
	}
	config := struct {
		SupportedFeatures []string `json:"supportedFeatures"`
	}{a.features()}
	if err := s.Emit("config", config); err != nil {
		return err
	}
	return s.Emit("server_stats", a.stats.report(a.io, nil))
}

// features are what the UI is told it may offer.
func (a *Admin) features() []string {
	var f []string
	if !a.opts.ReadOnly {
		f = append(f, "EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")
	}
	f = append(f, "AGGREGATED_EVENTS")
	if a.opts.Development {
		f = append(f, "ALL_EVENTS")
	}
	return f
}

func defaultServerID() string {
	host, _ := os.Hostname() // empty if it has none
	return fmt.Sprintf("%s#%d", host, os.Getpid())
}
