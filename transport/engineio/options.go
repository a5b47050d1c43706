package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/websocket"
)

// The transports of Engine.IO that a Server speaks.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Options tune a Server. The zero value is ready for use; the defaults are
// those of Node's server.
type Options struct {
	PingInterval   time.Duration // between a pong and the next ping. Default: 25s.
	PingTimeout    time.Duration // how long a pong may take. Default: 20s.
	UpgradeTimeout time.Duration // how long a client may take to complete an upgrade. Default: 10s.

	// MaxPayload bounds what a client may send at once, in bytes: the body of
	// a POST (413 beyond it) or a WebSocket message (close 1009). Clients are
	// told, and split their POSTs by it. Default: 1e6.
	MaxPayload int

	// Path is where Server.Handler finds requests: those whose path begins
	// with it. Unless NoTrailingSlash is set, it ends with a slash.
	// Default: "/engine.io".
	Path            string
	NoTrailingSlash bool

	Transports      []string // of Polling and WebSocket; other names are ignored. Default: both.
	DisableUpgrades bool     // advertise no upgrade, and refuse it

	// AllowEIO3 admits clients of protocol 3, which are those of Socket.IO 2
	// (and of Socket.IO 1, by the same frames): they say EIO=3, or nothing.
	// Without it they are refused with code 5.
	AllowEIO3 bool

	// Allow is asked before a session is opened. An error refuses it; its
	// text is told to the client as the message of code 4 ("Forbidden" if
	// empty), with status 403, or 400 for a WebSocket, unless it is a *Refusal,
	// which says its own. It may block.
	Allow func(r *http.Request) error

	// Admit is asked like Allow, behind it, and counts: release, if not nil,
	// is called once when the session has ended, or when none came of the
	// request after all. An error refuses it; a *Refusal says how.
	Admit func(r *http.Request) (release func(), err error)

	// NewID names a new session. The ID must not be guessable, as it is all
	// that requests of the session show. A failure, or an ID that is in use,
	// refuses the client with code 3. Default: 15 random bytes in base64url,
	// 20 characters.
	NewID func(r *http.Request) (string, error)

	// Peers, unless nil, joins the Server to those of other nodes: requests of
	// a client may come to any of them, and the IDs of sessions begin with the
	// node's name. Default: clients need a balancer that sends all of a client's
	// requests to one node.
	Peers Peers

	// UpgradeHold is how long a new session by polling, of a client that is told
	// that it may upgrade, is kept from the application where Peers.Any: what it
	// sends waits. If its WebSocket comes to another node meanwhile, the session
	// moves there as a whole, as if it had begun there, and costs nothing more.
	// Default: 0, by which the session stays, and the WebSocket is a pipe to it.
	// 500ms is plenty for clients that upgrade at once, as most do.
	UpgradeHold time.Duration

	CORS   *CORS   // Default: no CORS headers.
	Cookie *Cookie // Default: none.

	// InitialPacket is sent to each client right behind the open packet, by
	// polling in the same payload. It is a message like those of
	// Session.Send: transport.Text("4welcome"). Default: none.
	InitialPacket *transport.Frames

	// MinCompress is from how many bytes the answer to a poll is compressed
	// with gzip or deflate, for clients that accept it, unless all that it
	// holds is marked by transport.Frames.NoCompress. Default: 1024.
	// Negative: never.
	MinCompress int

	// Deflate turns on the compression of WebSocket messages
	// (permessage-deflate). What is sent to many is compressed once, by the
	// first Send. Default: off, as it costs both sides.
	Deflate *websocket.Deflate

	// CloseTimeout is how long Session.Close waits for a client that does
	// not poll to fetch what is queued. (A WebSocket gets 5s to answer a
	// close frame.) Default: 30s.
	CloseTimeout time.Duration

	MaxQueue     int           // bytes queued for one client; beyond, it is cut. Default: 1 MiB.
	WriteTimeout time.Duration // bounds one write to a client. Default: 10s.

	Logger *slog.Logger // receives what no caller can be told. Default: slog.Default().
	Hooks  Hooks        // observe; a nil field is skipped.
}

func (o Options) withDefaults() Options {
	if o.PingInterval <= 0 {
		o.PingInterval = 25 * time.Second
	}
	if o.PingTimeout <= 0 {
		o.PingTimeout = 20 * time.Second
	}
	if o.UpgradeTimeout <= 0 {
		o.UpgradeTimeout = 10 * time.Second
	}
	if o.MaxPayload <= 0 {
		o.MaxPayload = 1e6
	}
	o.Transports = slices.DeleteFunc(slices.Clone(o.Transports), func(name string) bool {
		return name != Polling && name != WebSocket
	})
	if len(o.Transports) == 0 {
		o.Transports = []string{Polling, WebSocket}
	}
	if o.CloseTimeout <= 0 {
		o.CloseTimeout = 30 * time.Second
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 1 << 20
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func randomID(*http.Request) (string, error) {
	var b [15]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// upgrades is what a new session's client is told it may change to.
func (o *Options) upgrades(transport string) []string {
	if transport == Polling && !o.DisableUpgrades && slices.Contains(o.Transports, WebSocket) {
		return []string{WebSocket}
	}
	return []string{} // not null in JSON
}
