package socketio

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// Recovery makes a client that has lost its connection, and is back soon, the
// one that it was: with its socket's id, rooms and data, and with the events
// that it missed, each once and in order. Clients need nothing for it but to be
// of Socket.IO 4.6 or later, or to know as much; those of 2.x don't.
//
// Where a node dies, others know its sockets' ids, rooms and data, as they were
// 50 ms before at the latest, and what other nodes said to them. If that is not
// enough to tell what a client missed, it is not recovered, and has a new socket
// of that id, with those rooms and that data (see Socket.Restored), once the node
// is known to be dead. So it is for Window and a minute. DisconnectSockets,
// SocketsJoin and the like pass the latter by between the death and its return.
//
// Events that are not asked to be acknowledged have one argument more then, the
// last: a text by which the client tells where it stood.
type Recovery struct {
	// Enabled turns it on, where the adapters are adapter.Recorders.
	Enabled bool

	// Except are the namespaces whose clients are not recovered. Default: none.
	Except []string

	// Window is how long a client may be away. Default: 2m.
	Window time.Duration

	// MaxBytes bounds what is kept of the events of one namespace, and MaxTotal
	// of all. A client who missed what had to be given up for it is not
	// recovered. Defaults: 32 MiB, 64 MiB.
	MaxBytes int
	MaxTotal int

	// MaxParked bounds the sockets that are kept for clients to come back. The
	// one kept for longest gives way. Default: 50000.
	MaxParked int

	// MaxReplay bounds what a client that is back is sent at once, in bytes; who
	// missed more is not recovered. It is at most three quarters of
	// Engine.MaxQueue, so as not to be cut for it. Default: 4 MiB.
	MaxReplay int

	// Middlewares has those of Use called for recovered sockets, too, whose
	// rooms and data are there already. Default: they are passed over, for a
	// client that was let in a moment ago.
	Middlewares bool

	// Encode and Decode are how a socket's data travels when its client is back
	// on another node; what is encoded takes 64 KiB at most, and never is the
	// data of a socket that has none. Defaults: as JSON, of which Decode makes
	// what json.Unmarshal makes of it for an any.
	Encode func(data any) ([]byte, error)
	Decode func(encoded []byte) (data any, err error)
}

// An Unrecovered says why a client that wanted to be recovered was not.
type Unrecovered string

const (
	UnrecoveredUnknown   Unrecovered = "unknown"   // nothing is kept: it was away for too long, or had been put out, or was elsewhere
	UnrecoveredMalformed Unrecovered = "malformed" // what it sent is no identifier, or no offset
	UnrecoveredOffset    Unrecovered = "offset"    // it never was where it says that it stood
	UnrecoveredTrimmed   Unrecovered = "trimmed"   // some of what it missed had to be given up: Recovery.MaxBytes, Recovery.MaxTotal
	UnrecoveredTooMuch   Unrecovered = "too much"  // it missed more than Recovery.MaxReplay
	UnrecoveredOvertaken Unrecovered = "overtaken" // it, or somebody with its identifier, has come once more
	UnrecoveredDied      Unrecovered = "died"      // its node has, and what it missed is not known: it has its id, rooms and data again

	UnrecoveredUnreachable Unrecovered = "unreachable" // the node that has what is kept did not answer in time
)

// A Lapse says why a socket that was kept for its client is kept no longer.
type Lapse string

const (
	LapseExpired      Lapse = "expired"      // the client did not come back within Recovery.Window
	LapseCrowded      Lapse = "crowded"      // there were too many: Recovery.MaxParked
	LapseDisconnected Lapse = "disconnected" // Disconnect, or DisconnectSockets of any node
	LapseRefused      Lapse = "refused"      // a middleware did, when it came back
	LapseUnrecovered  Lapse = "unrecovered"  // it came back, and could not be recovered
	LapseShutdown     Lapse = "shutdown"     // Shutdown or Close
	LapseMoved        Lapse = "moved"        // another node keeps it now, on which the client came back
	LapseAdopted      Lapse = "adopted"      // another node keeps it now, since this one stops
	LapseLost         Lapse = "lost"         // as adopted, but that node died, or would not have it in the end, and something was sent to it
	LapseClaimed      Lapse = "claimed"      // this node was taken to be dead, and the client is on another since
)

// recovery is what a Server's namespaces share; nil where it is not enabled.
type recovery struct {
	opts    Recovery
	journal *adapter.Journal
	parking parking
	pending pending // other nodes' requests at work
	misses  misses

	silence   time.Duration // a client's loss may be noticed so late
	retention time.Duration // of the journal

	promises promises
	handover handover
}

func newRecovery(opts Options) *recovery {
	if !opts.Recovery.Enabled {
		return nil
	}
	o := opts.Recovery
	if o.Window <= 0 {
		o.Window = 2 * time.Minute
	}
	if o.MaxParked <= 0 {
		o.MaxParked = 50_000
	}
	if o.MaxReplay <= 0 {
		o.MaxReplay = 4 << 20
	}
	e := opts.Engine
	o.MaxReplay = min(o.MaxReplay, cmp.Or(max(0, e.MaxQueue), 1<<20)/4*3)
	silence := cmp.Or(max(0, e.PingInterval), 25*time.Second) + cmp.Or(max(0, e.PingTimeout), 20*time.Second)
	retention := o.Window + silence + heirPatience
	r := &recovery{opts: o, silence: silence, retention: retention, journal: adapter.NewJournal(adapter.JournalOptions{
		Retention: retention,
		MaxBytes:  o.MaxBytes,
		MaxTotal:  o.MaxTotal,
	})}
	r.parking.init(o.Window, o.MaxParked)
	return r
}

// close forgets the sockets that are kept, and stops what goes on.
func (r *recovery) close() {
	if r == nil {
		return
	}
	r.pending.close()
	r.promises.close()
	for _, a := range r.parking.close() {
		if a.drop(LapseShutdown) {
			r.handover.lost.Add(1)
		}
	}
	r.journal.Close()
}

// record makes n a namespace that recovers its clients, if its adapter can.
func (r *recovery) record(n *Namespace) {
	if r == nil || slices.Contains(r.opts.Except, n.name) {
		return
	}
	recorder, ok := n.adapter.(adapter.Recorder)
	if !ok {
		n.logger().Warn("clients are not recovered: the adapter keeps no log")
		return
	}
	n.seats = make(map[string]*seat)
	n.log = recorder.Record(r.journal, adapter.LogOptions{
		Build: n.mark,
		Data:  n.unmark,
		Evicted: func(events int) {
			if f := n.hooks().Evicted; f != nil {
				f(n.name, events)
			}
		},
	})
	if peers, ok := recorder.(adapter.Peers); ok {
		n.moves = newMoves(n, peers)
	}
	if keeper, ok := n.adapter.(willKeeper); ok {
		n.wills = newWills(n, keeper, r.opts.Window)
	}
}

// keeps reports whether a client whose connection ended so may come back.
// Those that left, or broke the form of packets, may not.
func (s *Server) keeps(reason Reason) bool {
	switch reason {
	case ReasonClient, ReasonServer, "parse error":
		return false
	case ReasonShutdown:
		return s.recovery != nil && s.handing.Load()
	}
	return s.recovery != nil
}

// A ticket is what a client says in its CONNECT packet in order to be
// recovered.
type ticket struct {
	pid       string
	offset    string // of the last event that it has; empty if it has none
	malformed bool
}

// maxTicket bounds both texts of a ticket, in bytes.
const maxTicket = 128

// takeTicket takes the ticket out of what a client sends as auth, where
// applications, and those who look at sockets, would see it.
func takeTicket(auth Raw) (ticket, Raw) {
	var t ticket
	if !bytes.Contains(auth.data, []byte("pid")) && !bytes.Contains(auth.data, []byte("offset")) {
		return t, auth
	}
	var fields map[string]Raw
	if auth.Decode(&fields) != nil {
		return t, auth
	}
	take := func(key string) string {
		var text string
		field, ok := fields[key]
		if !ok {
			return ""
		}
		delete(fields, key)
		if field.Decode(&text) != nil || len(text) > maxTicket {
			t.malformed = true
			return ""
		}
		return text
	}
	if _, ok := fields["pid"]; !ok {
		return t, auth // an offset alone is the application's
	}
	t.pid = take("pid")
	t.malformed = t.malformed || t.pid == ""
	t.offset = take("offset")
	rest, err := rawOf(fields)
	if err != nil {
		rest = Raw{}
	}
	return t, rest
}

// Offsets are a digit for their form, the node, a dot, the position, and what
// had been heard there of all nodes (adapter.Log.Heard), if that is known.
const offsetForm = '1'

func (n *Namespace) offset(at adapter.Position, heard []byte) string {
	return offsetOf(adapter.Place{Node: n.log.Node(), At: at}, heard)
}

func offsetOf(p adapter.Place, heard []byte) string {
	return string(appendOffset(make([]byte, 0, len(p.Node)+15+len(heard)), p, heard))
}

func appendOffset(b []byte, p adapter.Place, heard []byte) []byte {
	b = append(b, offsetForm)
	b = append(b, p.Node...)
	b = append(b, '.')
	b = strconv.AppendUint(b, uint64(p.At), 36)
	return append(b, heard...)
}

// parseOffset is the inverse of offsetOf.
func parseOffset(offset string) (p adapter.Place, heard string, ok bool) {
	node, digits, ok := strings.Cut(offset, ".")
	if !ok || node == "" || node[0] != offsetForm {
		return p, "", false
	}
	if i := strings.IndexByte(digits, '~'); i >= 0 {
		digits, heard = digits[:i], digits[i:]
	}
	at, err := strconv.ParseUint(digits, 36, 64)
	p = adapter.Place{Node: node[1:], At: adapter.Position(at)}
	return p, heard, err == nil && offsetOf(p, []byte(heard)) == offset
}

// newPID returns a secret by which a client is known again. It begins with the
// name of this node.
func (n *Namespace) newPID() string { return n.log.Node() + "~" + rand.Text() }
