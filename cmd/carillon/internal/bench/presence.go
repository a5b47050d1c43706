package bench

import (
	"sync"
	"time"
)

// presence is the scenario of that name: users connect, whose names are
// marks, and when the last of the watchers has heard of one, he leaves. A
// user's session is opened in advance; the latency is from his CONNECT.
func (r *run) presence() error {
	watchers, err := r.connectAll(r.o.Clients, handshakes, r.anybody, func(*conn, time.Duration) {})
	if err != nil {
		return err
	}
	hears := &listener{run: r, name: r.o.Events.Online}
	need := 0
	for _, c := range watchers {
		if c != nil {
			r.begin(c, hears)
			need++
		}
	}
	v := &visitors{run: r, need: need, sessions: make(chan *conn, r.o.InFlight+8), here: make(map[int]*conn)}
	for range min(handshakes, cap(v.sessions)) {
		r.wg.Go(v.dial) // ends with ctx
	}
	r.load.last = true
	r.load.send = v.visit
	r.load.done = v.leave
	return r.measure()
}

// visitors are the users who come and go.
type visitors struct {
	*run
	need     int
	sessions chan *conn // opened, but in no namespace

	mu   sync.Mutex // guards here
	here map[int]*conn
}

// dial opens sessions.
func (v *visitors) dial() {
	for i := 0; v.ctx.Err() == nil; i++ {
		c, err := v.session(i)
		if err != nil {
			if v.ctx.Err() == nil {
				v.failed.add("", err)
			}
			if v.sleep(v.o.Timeout/100) != nil {
				return
			}
			continue
		}
		select {
		case v.sessions <- c:
		case <-v.ctx.Done():
			c.end()
		}
	}
}

// visit has a user come, from a goroutine of its own: the caller reads what
// watchers hear.
func (v *visitors) visit(slot int, at int64) {
	v.load.expect(slot, at, v.need)
	v.wg.Go(func() { // ends when a session is there, or with ctx
		var c *conn
		select {
		case c = <-v.sessions:
		case <-v.ctx.Done():
			return
		}
		if !v.load.open { // it is not to blame for the session's opening
			at = v.clock()
			v.load.slots[slot].at.Store(at)
		}
		v.mu.Lock()
		v.here[slot] = c
		v.mu.Unlock()
		packet, err := joinPacket(v.o.Auth, mark{slot, at}.String())
		if err == nil {
			v.begin(c, crowd{v.run})
			_, err = c.net.Write(appendFrame(nil, opText, packet))
		}
		if err != nil {
			v.failed.add("not sent: ", err)
		}
	})
}

// leave has the user go who is known to all watchers.
func (v *visitors) leave(slot int) {
	v.mu.Lock()
	c := v.here[slot]
	delete(v.here, slot)
	v.mu.Unlock()
	if c != nil {
		v.discard(c)
	}
}
