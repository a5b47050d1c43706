package main_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A cut is a way in which the connection of a client ends.
type cut string

const (
	reset  cut = "reset"  // both ends hear of it, at once
	finish cut = "finish" // in an orderly way, in the middle of what was said
	freeze cut = "freeze" // neither end hears of it: nothing passes any more
)

// A cutter is a listener that can cut what it has accepted.
type cutter struct {
	net.Listener

	mu       sync.Mutex // guards all below
	conns    map[*cuttable]struct{}
	refusing bool
	accepted []time.Time
}

func newCutter(l net.Listener) *cutter {
	return &cutter{Listener: l, conns: make(map[*cuttable]struct{})}
}

func (c *cutter) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		one := &cuttable{Conn: conn, of: c, frozen: make(chan struct{})}
		c.mu.Lock()
		refused := c.refusing
		if !refused {
			c.conns[one] = struct{}{}
			c.accepted = append(c.accepted, time.Now())
		}
		c.mu.Unlock()
		if !refused {
			return one, nil
		}
		one.cut(reset)
	}
}

// forget has peak count from now on.
func (c *cutter) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = nil
}

// peak returns the most connections that were accepted within a second.
func (c *cutter) peak() (most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := 0
	for i, at := range c.accepted {
		for at.Sub(c.accepted[first]) > time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// refuse says whether new connections are reset.
func (c *cutter) refuse(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusing = yes
}

// cut cuts connections, each with this probability, and returns how many.
func (c *cutter) cut(how cut, share float64) int {
	c.mu.Lock()
	var chosen []*cuttable
	for one := range c.conns {
		if rand.Float64() < share {
			chosen = append(chosen, one)
		}
	}
	c.mu.Unlock()
	for _, one := range chosen {
		one.cut(how)
	}
	return len(chosen)
}

// A cuttable is the connection of a client. It is a bare Conn, lest something
// pass it by.
type cuttable struct {
	net.Conn
	of     *cutter
	once   sync.Once
	frozen chan struct{} // closed once nothing passes any more
}

func (c *cuttable) cut(how cut) {
	switch how {
	case reset:
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
	case finish:
		c.Close()
	case freeze:
		c.once.Do(func() { close(c.frozen) })
	}
}

func (c *cuttable) isFrozen() bool {
	select {
	case <-c.frozen:
		return true
	default:
		return false
	}
}

// Read reads nothing of a frozen connection but its end.
func (c *cuttable) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.isFrozen() {
			return n, err
		}
	}
}

// Write writes into the void, once the connection is frozen.
func (c *cuttable) Write(b []byte) (int, error) {
	if c.isFrozen() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *cuttable) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
