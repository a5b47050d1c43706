package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A target is where messages go: a room or a user.
type target struct {
	need int // clients that get each message

	mu      sync.Mutex // guards the frame while it is written
	frame   []byte
	ack, at int // where the id of an acknowledgement (0: none) and the mark are in frame
	from    []*conn
	turn    int
}

// ackDigits is the width of the id of an acknowledgement. Leading zeros mean
// nothing.
const ackDigits = 7

// newTarget makes the frame of an event whose argument has fields and data.
func (r *run) newTarget(event string, fields map[string]string, ack bool) *target {
	fields["data"] = mark{}.String() + strings.Repeat("x", r.o.Payload-markLen)
	arg, _ := json.Marshal(fields) // strings always encode
	name, _ := json.Marshal(event)
	id := ""
	if ack {
		id = strings.Repeat("0", ackDigits)
	}
	payload := fmt.Sprintf("42%s[%s,%s]", id, name, arg)
	t := &target{frame: appendFrame(nil, opText, []byte(payload))}
	head := len(t.frame) - len(payload)
	t.at = head + strings.LastIndex(payload, markHead+strings.Repeat("0", slotLen+stampLen))
	if ack {
		t.ack = head + len("42")
	}
	return t
}

// send sends a message from the next of the senders.
func (t *target) send(m mark) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.put(t.frame[t.at:][:markLen])
	if t.ack > 0 {
		copy(t.frame[t.ack:], fmt.Appendf(nil, "%0*d", ackDigits, m.slot))
	}
	t.turn++
	_, err := t.from[t.turn%len(t.from)].net.Write(t.frame)
	return err
}

// talk measures messages to the targets, in turn.
func (r *run) talk(targets []*target) error {
	turns := make([]int, max(r.o.InFlight, 1))
	n := 0 // of an open loop, which sends from one goroutine
	r.load.send = func(slot int, at int64) {
		var t *target
		if r.load.open {
			t = targets[n%len(targets)]
			n++
		} else {
			t = targets[(slot+turns[slot]*r.o.InFlight)%len(targets)]
			turns[slot]++
		}
		r.load.expect(slot, at, t.need)
		if err := t.send(mark{slot, at}); err != nil {
			r.failed.add("not sent: ", err)
		}
	}
	return r.measure()
}

// listener hears the messages of a run.
type listener struct {
	*run
	name string // of the event
	acks bool   // acknowledgements are what counts
}

func (l *listener) event(c *conn, packet []byte, now int64) {
	if !isEvent(packet, l.name) {
		return
	}
	m, ok := findMark(packet)
	switch {
	case !ok:
	case l.acks:
		l.load.delivered.Add(1)
	default:
		l.load.deliver(c.index, m, now)
	}
}

func (l *listener) ack(c *conn, packet []byte, now int64) {
	id, ok := ackID(packet)
	if !ok {
		return
	}
	if err := refusal(packet); err != nil {
		l.failed.add("", err)
	}
	l.load.acknowledge(c.index, id, now)
}

// rooms is the scenarios fanout and rooms: room i has the members i×Members
// and following, around the circle of all clients.
func (r *run) rooms() error {
	conns, err := r.connectAll(r.o.Clients, handshakes, r.anybody, func(*conn, time.Duration) {})
	if err != nil {
		return err
	}
	hears := &listener{run: r, name: r.o.Events.Room}
	for _, c := range conns {
		if c != nil {
			c.acks = make(chan error, 1)
			r.begin(c, hears)
		}
	}
	targets := make([]*target, r.o.Rooms)
	for i := range targets {
		targets[i] = r.newTarget(r.o.Events.Room, map[string]string{"room": r.room(i)}, false)
	}
	if err := r.fill(conns, targets); err != nil {
		return err
	}
	var used []*target
	for _, t := range targets {
		if t.need = len(t.from); t.need > 0 {
			used = append(used, t)
		}
	}
	if len(used) == 0 {
		return fmt.Errorf("no client could join a room: %s", r.failed.most())
	}
	return r.talk(used)
}

func (r *run) room(i int) string { return fmt.Sprintf("%s-%d", r.name, i) }

// fill has the clients join their rooms.
func (r *run) fill(conns []*conn, targets []*target) error {
	of := make([][]int, len(conns)) // the rooms of each
	for i := range targets {
		for j := range r.o.Members {
			c := (i*r.o.Members + j) % len(conns)
			of[c] = append(of[c], i)
		}
	}
	r.say("joining rooms")
	var wg sync.WaitGroup
	for part := range handshakes {
		wg.Go(func() { // ends with the last of its clients
			for i := part; i < len(conns); i += handshakes {
				for _, room := range of[i] {
					if conns[i] == nil || r.ctx.Err() != nil {
						break
					}
					if err := r.join(conns[i], r.room(room)); err != nil {
						r.failed.add("join: ", err)
						continue
					}
					t := targets[room]
					t.mu.Lock()
					t.from = append(t.from, conns[i])
					t.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return r.ctx.Err()
}

// join has a client join a room.
func (r *run) join(c *conn, room string) error {
	event, _ := json.Marshal([]string{r.o.Events.Join, room}) // strings always encode
	packet := append(fmt.Appendf(nil, "420"), event...)
	if _, err := c.net.Write(appendFrame(nil, opText, packet)); err != nil {
		return err
	}
	timer := time.NewTimer(r.o.Timeout)
	defer timer.Stop()
	select {
	case err := <-c.acks:
		return err
	case <-timer.C:
		return fmt.Errorf("%q was not acknowledged", r.o.Events.Join)
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// direct is the scenario p2p.
func (r *run) direct() error {
	user := func(i int) string { return fmt.Sprintf("%s-%d", r.name, i) }
	conns, err := r.connectAll(r.o.Clients, handshakes, user, func(*conn, time.Duration) {})
	if err != nil {
		return err
	}
	hears := &listener{run: r, name: r.o.Events.Direct, acks: r.o.Ack}
	var targets []*target
	for i := 0; i < len(conns); i += 2 {
		from, to := i, i+1
		if i%4 == 2 { // half of them the other way
			from, to = to, from
		}
		one, other := conns[from], conns[to]
		if one == nil || other == nil {
			continue
		}
		r.begin(one, hears)
		r.begin(other, hears)
		t := r.newTarget(r.o.Events.Direct, map[string]string{"to": user(to)}, r.o.Ack)
		t.from, t.need = []*conn{one}, 1
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return fmt.Errorf("no pair of clients could connect: %s", r.failed.most())
	}
	return r.talk(targets)
}
