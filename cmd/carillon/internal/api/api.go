// Package api is the HTTP API by which back ends in any language send to
// users, rooms and sockets, steer them, and ask who is there. openapi.yaml
// describes it, for programs and people; it is served and tested against.
//
// Whatever node is asked, the whole cluster obeys. An answer that lacks what
// other nodes would have said names those nodes under "missing". Errors are
// problem documents (RFC 9457).
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Prefix is where the API stands; a mux has to hand it all that is below.
const Prefix = "/api/v1/"

// Options are what an API works with. Those without a default are required.
type Options struct {
	Server   *socketio.Server
	Bus      *broker.Bus
	Presence Presence
	Names    Names
	Keys     *Keys

	// UserOf tells whose device a socket is.
	UserOf func(*socketio.Socket) string

	// Message makes what a client hears as "message": its id, and the event's
	// argument.
	Message func(from string, data socketio.Raw) (id string, argument any)

	// Wait returns a context that bounds a wait for other nodes. It ends early
	// when they cannot be reached.
	Wait func() (context.Context, context.CancelFunc)

	// Draining reports whether this node is about to stop.
	Draining func() bool

	Version string // of the program, as GET /nodes tells it

	// MaxBody bounds the body of a request in bytes. Default: 1e6.
	MaxBody int

	// IdempotencyTTL is how long the answer to an idempotency key is kept, and
	// IdempotencyKeys how many are, on this node. Defaults: 10m, 10000.
	IdempotencyTTL  time.Duration
	IdempotencyKeys int

	Logger *slog.Logger // receives what no caller can be told. Default: slog.Default().
	Hooks  Hooks        // observe; a nil field is skipped.
}

// Names are the rooms in which the members of rooms that clients name, and the
// devices of users, are; and back again.
type Names struct {
	Room     func(name string) (room string)
	User     func(user string) (room string)
	RoomName func(room string) (name string, ok bool)
}

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	// Served follows every request. route is one of openapi.yaml's paths, or
	// "unknown".
	Served func(route, method string, status int, took time.Duration)
}

// An API answers the requests below Prefix. Its methods may be called
// concurrently.
type API struct {
	opts    Options
	log     *slog.Logger
	started time.Time
	replays replays
}

var _ http.Handler = (*API)(nil)

// New returns an API. It answers other nodes' APIs on the bus until Close.
func New(opts Options) *API {
	if opts.MaxBody <= 0 {
		opts.MaxBody = 1e6
	}
	if opts.IdempotencyTTL <= 0 {
		opts.IdempotencyTTL = 10 * time.Minute
	}
	if opts.IdempotencyKeys <= 0 {
		opts.IdempotencyKeys = 10_000
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	a := &API{opts: opts, log: opts.Logger.With("component", "api"), started: time.Now()}
	a.replays.init(opts.IdempotencyTTL, opts.IdempotencyKeys)
	opts.Bus.Respond(channel, a.respond)
	return a
}

// Close stops answering other nodes.
func (a *API) Close() { a.opts.Bus.Respond(channel, nil) }

// A route is one path and method of openapi.yaml.
type route struct {
	method, path string // "{…}" stands for one segment
	handle       func(*API, *request) (any, error)
	sends        bool // and so takes an idempotency key
}

var routes = []route{
	{"POST", "messages", (*API).postMessages, true},
	{"POST", "notifications", (*API).postNotifications, true},
	{"POST", "emit", (*API).postEmit, true},
	{"POST", "sockets/join", (*API).postJoin, false},
	{"POST", "sockets/leave", (*API).postLeave, false},
	{"POST", "sockets/disconnect", (*API).postDisconnect, false},
	{"GET", "sockets", (*API).getSockets, false},
	{"GET", "rooms", (*API).getRooms, false},
	{"GET", "presence/users", (*API).getUsers, false},
	{"POST", "presence/query", (*API).postQuery, false},
	{"DELETE", "users/{user}/sockets", (*API).deleteSockets, false},
	{"GET", "nodes", (*API).getNodes, false},
}

// match reports whether path, below Prefix and as it was escaped, is the
// route's, and returns the segment that stands for "{…}", still escaped.
func (rt *route) match(path string) (segment string, ok bool) {
	before, rest, variable := strings.Cut(rt.path, "{")
	if !variable {
		return "", path == rt.path
	}
	_, after, _ := strings.Cut(rest, "}")
	segment, ok = strings.CutPrefix(path, before)
	if ok {
		segment, ok = strings.CutSuffix(segment, after)
	}
	return segment, ok && segment != "" && !strings.Contains(segment, "/")
}

// find returns the route of a request; without one, the methods that there are
// for the path, if it exists.
func find(method, path string) (found *route, segment string, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	for i := range routes {
		rt := &routes[i]
		s, ok := rt.match(path)
		if ok && rt.method == method {
			return rt, s, nil
		}
		if ok {
			allowed = append(allowed, rt.method)
		}
	}
	return nil, "", allowed
}
