package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// A swimmer is a client that loses its connection again and again.
type swimmer struct {
	*sea
	visitor
	name     int
	rng      *rand.Rand
	life     int
	received []int                // durable events of this session
	others   map[string]bool      // volatile events, and those to be acknowledged
	back     map[string]time.Time // when it was back, by its id
	trail    []string
}

func (c *swimmer) fail(format string, args ...any) {
	c.sea.mu.Lock()
	defer c.sea.mu.Unlock()
	c.t.Errorf("client %d, %s %d: %s; %v", c.name, c.sid, c.life, fmt.Sprintf(format, args...), c.trail)
}

func (c *swimmer) open() bool {
	before, pid, start := c.sid, c.pid, time.Now()
	c.sea.mu.Lock()
	n := c.afloat[c.rng.IntN(len(c.afloat))]
	frozen := n.frozen
	c.sea.mu.Unlock()
	if frozen { // a balancer knows
		return false
	}
	c.trail = append(c.trail, fmt.Sprintf("%v asks %d with %s;", start.Format("05.000"), n.number, c.offset))
	if err := c.connect(n.pipes); err != nil {
		c.sea.mu.Lock()
		defer c.sea.mu.Unlock()
		c.trail = append(c.trail, err.Error())
		if c.calm() && !n.frozen {
			c.t.Errorf("client %d: %v", c.name, err)
		}
		return false
	}
	restored := !c.recovered && pid != "" && c.sid == before
	c.trail = append(c.trail, fmt.Sprintf("%v at %d, %v %v;", time.Now().Format("05.000"), n.number, c.recovered, restored))
	c.sea.mu.Lock()
	c.totals.Connections++
	switch o := c.sessions[before]; {
	case c.recovered:
		c.totals.Recovered++
		if c.sid != before {
			c.t.Errorf("client %d is recovered, with id %s, before %s", c.name, c.sid, before)
		}
		if o != nil && o.life == c.life && !o.lost && !o.out.IsZero() && start.Sub(o.out) > soon {
			c.t.Errorf("client %d is recovered, and %s was put out %v ago; %v", c.name, c.sid, time.Since(o.out), c.trail)
		}
	case restored:
		c.totals.Restored++
	}
	c.back[c.sid] = time.Now()
	c.sea.mu.Unlock()
	if !c.recovered {
		c.check(before, false)
		c.received, c.others = nil, make(map[string]bool)
		if c.life++; !restored {
			c.life = 0
		}
	}
	return true
}

// listen takes as many packets, fewer if the connection ends or for half a
// second nothing comes.
func (c *swimmer) listen(n int) {
	idle := time.AfterFunc(500*time.Millisecond, c.cut)
	defer idle.Stop()
	for ; n > 0; n-- {
		packet, err := c.next()
		if err != nil || packet == "41" {
			return
		}
		idle.Reset(500 * time.Millisecond)
		c.take(packet)
	}
}

// take does with a packet what socket.io-client does.
func (c *swimmer) take(packet string) {
	body, event := strings.CutPrefix(packet, "42")
	ack, _, _ := strings.Cut(body, "[")
	var args []any
	if !event || json.Unmarshal([]byte(body[len(ack):]), &args) != nil || len(args) < 2 {
		c.fail("got %q", packet)
		return
	}
	number := int(args[1].(float64))
	if args[0] == "e" {
		c.received = append(c.received, number)
	} else {
		key := fmt.Sprint(args[0], number)
		if c.others[key] {
			c.fail("%q came twice", packet)
		}
		c.others[key] = true
	}
	if ack != "" {
		if c.rng.IntN(2) == 0 {
			_ = c.conn.Write(context.Background(), websocket.MessageText, []byte("43"+ack+"[1]"))
		}
		return
	}
	if offset, ok := args[len(args)-1].(string); ok {
		c.offset = offset
	}
}

// freeze leaves the connection open, as far as the server knows. Nothing more may
// come by it once the client is back elsewhere.
func (c *swimmer) freeze() {
	conn, sid := c.conn, c.sid
	since := time.Now()
	go func() { // ends with the connection, which the server closes in the end
		for {
			_, data, err := conn.Read(context.Background())
			if err != nil {
				_ = conn.CloseNow()
				return
			}
			c.sea.mu.Lock()
			back := c.back[sid]
			if strings.HasPrefix(string(data), "42") && back.After(since) && time.Now().After(back) && c.calm() {
				c.t.Errorf("client %d: %q of %s by the connection of %v, and the client is back since %v", c.name, data, sid, since.Format("05.000"), back.Format("05.000"))
			}
			c.sea.mu.Unlock()
		}
	}()
}

// check holds what came against what was due; at the end all must have come.
func (c *swimmer) check(id string, end bool) {
	c.sea.mu.Lock()
	defer c.sea.mu.Unlock()
	o := c.sessions[id]
	if o == nil || o.life != c.life && o.life != c.life+1 {
		return
	}
	current := o.life == c.life
	c.totals.Received += len(c.received)
	got := make(map[int]bool)
	newest := make(map[*ship]int) // broadcast of each node
	for _, number := range c.received {
		e := c.events[number]
		if got[number] {
			c.t.Errorf("client %d got %d twice, %s of node %d at %s, all %v: %v; %v", c.name, number, e.what, e.from.number, e.since.Format("05.000"), e.all, c.received, c.trail)
			return
		}
		got[number] = true
		late := soon
		if e.fouled || o.life > 0 { // it may be repaired late, or have been said to who was there before
			late = 30 * time.Second
		}
		if current && !e.must[o] && !e.may[o] && o.born.Sub(e.since) > late {
			c.t.Errorf("client %d of %s got %d, %s, which was not for it: %v; %v", c.name, id, number, e.what, e.since.Format("05.000"), c.trail)
			return
		}
		if !e.all {
			continue
		}
		if before, ok := newest[e.from]; ok && before > number {
			c.t.Errorf("client %d got %d of node %d behind %d: %v; %v", c.name, number, e.from.number, before, c.received, c.trail)
			return
		}
		newest[e.from] = number
	}
	if !current || !o.out.IsZero() {
		return
	}
	for number, e := range c.events {
		if !e.must[o] || got[number] {
			continue
		}
		if end || e.all && newest[e.from] > number {
			c.t.Errorf("client %d of %s did not get %d of node %d (%s), which was said at %v: %v; %v; %v", c.name, id, number, e.from.number, e.what, e.since.Format("05.000"), c.received, o.story, c.trail)
			return
		}
	}
}

// settle connects for good and takes all that is still to come.
func (c *swimmer) settle() {
	if c.open() {
		c.listen(1 << 20) // ends when nothing comes
		c.check(c.sid, true)
	}
}
