package console

import (
	"math"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Stats are what a node tells of itself.
type Stats struct {
	State     State   `json:"state"`
	Version   string  `json:"version"`
	Uptime    int64   `json:"uptime"` // in seconds
	WebSocket int     `json:"websocket"`
	Polling   int     `json:"polling"`
	Sockets   int     `json:"sockets"`   // in all namespaces but the console's
	Rooms     int     `json:"rooms"`     // that clients of this node are in
	Users     int     `json:"users"`     // who have a client on this node
	In        float64 `json:"in"`        // messages of other nodes through the broker, per second
	Out       float64 `json:"out"`       // messages to them
	EventsIn  float64 `json:"eventsIn"`  // events of clients, per second
	EventsOut float64 `json:"eventsOut"` // events to clients
	Broker    string  `json:"broker"`    // the State of the Bus

	// Error is what the link to the broker suffered last, so many seconds ago.
	// It holds no password of a URL.
	Error    string `json:"error,omitempty"`
	ErrorAge int64  `json:"errorAge,omitempty"`
}

// A State says what a node is good for.
type State string

// The states of a node. Its own reports have those up to CutOff; the others are
// what another node finds.
const (
	Up       State = "up"
	Draining State = "draining" // it is about to leave
	Degraded State = "degraded" // it has no connection to the broker, and serves its own clients alone
	CutOff   State = "cut off"  // it does not hear itself through the broker
	Silent   State = "silent"   // it is a member, but does not report
	Down     State = "down"     // it fell silent, or was replaced
	Left     State = "left"     // it said that it would, and is gone
	Unknown  State = "unknown"  // it is this node that hears nothing
)

// stateOf is what this node says of itself.
func (c *Console) stateOf(s broker.State) State {
	switch {
	case s != broker.Up:
		return Degraded
	case c.frozen.Load():
		return CutOff
	case c.bus.Self().Draining:
		return Draining
	}
	return Up
}

// gather measures this node. Rates are those since the last call.
func (c *Console) gather(now time.Time) Stats {
	state := c.bus.State()
	polling := c.io.PollingSessions()
	sockets, rooms, users := c.census.take(now, c.io)
	s := Stats{
		State:     c.stateOf(state),
		Version:   c.opts.Version,
		Uptime:    int64(now.Sub(c.born) / time.Second),
		WebSocket: max(0, c.io.Sessions()-polling), // they are counted one after the other
		Polling:   polling,
		Sockets:   sockets, Rooms: rooms, Users: users,
		Broker: state.String(),
	}
	n := c.meter.counts()
	if took := n.at.Sub(c.before.at).Seconds(); took > 0 && !c.before.at.IsZero() {
		rate := func(now, before uint64) float64 { return math.Round(float64(now-before)/took*10) / 10 }
		s.In, s.Out = rate(n.in, c.before.in), rate(n.out, c.before.out)
		s.EventsIn, s.EventsOut = rate(n.eventsIn, c.before.eventsIn), rate(n.eventsOut, c.before.eventsOut)
	}
	c.before = n
	if t := c.meter.trouble.Load(); t != nil {
		s.Error, s.ErrorAge = t.text, int64(now.Sub(t.at)/time.Second)
	}
	return s
}

// A census counts rooms and users, for which it goes through all sockets. It
// takes its time: a hundredth of it at most.
type census struct {
	isRoom, isUser func(room string) bool
	next           time.Time
	rooms, users   int
}

func (c *census) take(now time.Time, io *socketio.Server) (sockets, rooms, users int) {
	count := !now.Before(c.next)
	here := make(map[string]struct{})
	if count {
		c.rooms = 0
	}
	for _, n := range io.Namespaces() {
		if n.Name() == Namespace {
			continue
		}
		sockets += n.Len()
		if !count {
			continue
		}
		for room := range n.Rooms() {
			if c.isUser(room) {
				here[room] = struct{}{}
			} else if c.isRoom(room) {
				c.rooms++
			}
		}
	}
	if count {
		c.users = len(here)
		c.next = now.Add(100 * time.Since(now))
	}
	return sockets, c.rooms, c.users
}

// maxError bounds what of an error is told, in bytes.
const maxError = 200

// credentials are those of a URL.
var credentials = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)\S*@`)

// discreet returns the text of an error as others may read it.
func discreet(text string) string {
	text = credentials.ReplaceAllString(text, "$1…@")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxError {
		text = text[:maxError-len("…")] + "…"
	}
	return strings.ToValidUTF8(text, "")
}
