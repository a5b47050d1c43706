// Package bench loads Socket.IO servers and measures what they do: how long
// messages take, how many pass, and what CPU and memory that costs the
// servers. All clients live in this process, speak Socket.IO over WebSocket
// and do as little as they can, so that the servers are the limit.
//
// The servers must know a few events, which the standard service of Carillon
// does: see [Events].
//
// A latency counts from when a message was meant to be sent. In an open loop,
// where messages have a schedule, one that had to wait because the servers or
// this process were busy is late by all of that wait: nothing is omitted
// because it was slow.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Scenario is what the clients do.
type Scenario string

// The scenarios.
const (
	Fanout   Scenario = "fanout"   // all clients in one room, where a few of them speak
	Rooms    Scenario = "rooms"    // many small rooms
	P2P      Scenario = "p2p"      // pairs of users on different servers, one of whom writes to the other
	Connect  Scenario = "connect"  // connecting, and nothing else
	Idle     Scenario = "idle"     // clients that only answer heartbeats
	Presence Scenario = "presence" // users who come and go, and clients who watch them
)

// Scenarios are all of them.
var Scenarios = []Scenario{Fanout, P2P, Rooms, Connect, Idle, Presence}

// Events are the names of the events that the servers have to know.
type Events struct {
	// Join takes the name of a room, makes the client a member and
	// acknowledges.
	Join string

	// Room takes {room, data} and goes to all members of that room on all
	// servers, the sender included, with the same data in it.
	Room string

	// Direct takes {to, data} and goes to all devices of that user on all
	// servers, with the same data in it. If asked to, the server
	// acknowledges when it is known what became of it.
	Direct string

	// Online goes to all clients of all servers when a user's first device
	// connects, and has the user's name in it. Users name themselves by
	// "user" in the auth of CONNECT.
	Online string
}

// DefaultEvents are those of Carillon's service.
var DefaultEvents = Events{Join: "room:join", Room: "room:message", Direct: "message", Online: "presence:online"}

// Options say what to do. What is zero has a default, except URLs.
type Options struct {
	Scenario Scenario
	URLs     []string // of the servers, http or https; clients are spread over them
	Path     string   // of Socket.IO on them. Default: "/socket.io/".
	Auth     map[string]any
	Events   Events // Default, for each: DefaultEvents.

	Clients  int           // Default: what suits the scenario.
	Rooms    int           // Default: 1000; of fanout: 1.
	Members  int           // of a room. Default: 10; of fanout: all.
	InFlight int           // messages, or handshakes, under way at a time. Default: what suits the scenario.
	Rate     float64       // messages, or handshakes, a second: an open loop. Default, 0: a closed one.
	Payload  int           // bytes of a message's data, at least MinPayload. Default: 100.
	Ack      bool          // have direct messages acknowledged, and measure until then
	Warmup   time.Duration // before the measurement. Default: 1s; none if negative.
	Duration time.Duration // of the measurement, except of connect, which ends with the last client. Default: 10s.
	Timeout  time.Duration // for a connection, and after which a message is lost. Default: 10s.
	PIDs     []int         // of the servers, to tell their CPU and memory

	Progress func(line string) // is told, some times a second, what goes on. Default: nobody.
}

// MinPayload is the least that a message's data can have, to hold its mark.
const MinPayload = markLen

// Check says what makes no sense in o, as Run would.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults fills in what is zero, and says what makes no sense.
func (o Options) withDefaults() (Options, error) {
	if !slices.Contains(Scenarios, o.Scenario) {
		return o, fmt.Errorf("no scenario %q", o.Scenario)
	}
	if len(o.URLs) == 0 {
		return o, errors.New("no server's URL given")
	}
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return o, err
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return o, fmt.Errorf("%s: a URL such as http://127.0.0.1:3000 expected", text)
		}
	}
	if !strings.HasPrefix(o.Path, "/") {
		o.Path = "/" + o.Path
	}
	if o.Path == "/" {
		o.Path = "/socket.io/"
	}
	o.Events = o.Events.withDefaults()
	preset := presets[o.Scenario]
	o.Clients = orDefault(o.Clients, preset.clients)
	o.Rooms = orDefault(o.Rooms, preset.rooms)
	o.Members = orDefault(o.Members, preset.members)
	o.InFlight = orDefault(o.InFlight, preset.inFlight)
	switch o.Scenario {
	case Fanout:
		o.Rooms, o.Members = 1, o.Clients
	case P2P:
		o.InFlight = orDefault(o.InFlight, o.Clients/2)
	}
	o.Payload = orDefault(o.Payload, 100)
	o.Duration = orDefault(o.Duration, 10*time.Second)
	o.Timeout = orDefault(o.Timeout, 10*time.Second)
	if o.Warmup == 0 {
		o.Warmup = time.Second
	}
	o.Warmup = max(0, o.Warmup)
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	switch {
	case o.Clients < 1 || o.InFlight < 1 || o.Rooms < 1 || o.Members < 1:
		return o, errors.New("clients, rooms, members and messages in flight must be 1 at least")
	case o.Rate < 0 || o.Rate > 1e7:
		return o, errors.New("the rate must be from 0 to 10,000,000 a second")
	case o.Payload < MinPayload || o.Payload > 512<<10:
		return o, fmt.Errorf("the payload must be from %d to %d bytes", MinPayload, 512<<10)
	case o.Members > o.Clients:
		return o, fmt.Errorf("%d clients are too few for rooms of %d", o.Clients, o.Members)
	case o.Scenario == P2P && o.Clients%2 != 0:
		return o, errors.New("p2p needs an even number of clients: they form pairs")
	case o.InFlight > maxSlots:
		return o, fmt.Errorf("at most %d messages can be in flight", maxSlots)
	case o.Duration < 0 || o.Timeout < 0:
		return o, errors.New("a time must not be negative")
	}
	return o, nil
}

// presets are what a scenario does unless told otherwise.
var presets = map[Scenario]struct{ clients, rooms, members, inFlight int }{
	Fanout:   {1000, 1, 1000, 4},
	P2P:      {400, 1, 1, 0}, // one for each pair
	Rooms:    {1000, 1000, 10, 100},
	Connect:  {5000, 1, 1, handshakes},
	Idle:     {10000, 1, 1, handshakes},
	Presence: {200, 1, 1, 1},
}

func (e Events) withDefaults() Events {
	e.Join = orDefault(e.Join, DefaultEvents.Join)
	e.Room = orDefault(e.Room, DefaultEvents.Room)
	e.Direct = orDefault(e.Direct, DefaultEvents.Direct)
	e.Online = orDefault(e.Online, DefaultEvents.Online)
	return e
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Run runs a scenario, and returns what was measured. What went wrong with
// clients on the way is counted in Report.Errors; an error is returned if
// there is nothing to report: bad Options, no client that could connect, a
// process that is not there, or the end of ctx before the measurement's.
func Run(ctx context.Context, o Options) (*Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	meter, err := newMeter(o.PIDs)
	if err != nil {
		return nil, err
	}
	r, err := newRun(ctx, o, meter)
	if err != nil {
		return nil, err
	}
	defer r.close()
	switch o.Scenario {
	case Fanout, Rooms:
		err = r.rooms()
	case P2P:
		err = r.direct()
	case Connect:
		err = r.connecting()
	case Idle:
		err = r.idle()
	case Presence:
		err = r.presence()
	}
	if err != nil {
		return nil, err
	}
	return r.report(), nil
}
