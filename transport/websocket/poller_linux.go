package websocket

import (
	"os"
	"sync"
	"syscall"
)

// A poller waits for all resting Conns at once, by an epoll instance of its own
// that Go's waits for in turn: none of them needs a goroutine. The zero value is
// ready for use.
type poller struct {
	wg *sync.WaitGroup // counts poll

	mu     sync.Mutex // guards all below, and Conn.place
	file   *os.File   // the epoll instance; nil before the first Conn
	fd     int
	conns  []*Conn // by their place, from 1 on
	free   []int32 // places
	closed bool
}

// pollBatch is how many Conns are taken from the kernel at a time.
const pollBatch = 128

// wait has resume called when there is something to read from c. It reports
// false if c needs a goroutine for that. It is called by someone whom wg counts.
func (p *poller) wait(c *Conn) bool {
	if c.raw == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.openLocked() {
		return false
	}
	op := syscall.EPOLL_CTL_MOD // one that was waited for stays there, disabled
	if c.place == 0 {
		op = syscall.EPOLL_CTL_ADD
		p.placeLocked(c)
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: c.place}
	var failed error
	err := c.raw.Control(func(fd uintptr) { failed = syscall.EpollCtl(p.fd, op, int(fd), &event) })
	if err == nil && failed == nil {
		return true
	}
	if op == syscall.EPOLL_CTL_ADD {
		p.forgetLocked(c)
	}
	return false
}

// openLocked makes the epoll instance. Without one, every Conn has a goroutine.
func (p *poller) openLocked() bool {
	if p.closed || p.file != nil {
		return !p.closed
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	_ = syscall.SetNonblock(fd, true) // which has os.NewFile use Go's poller
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return false
	}
	p.file, p.fd, p.conns = file, fd, make([]*Conn, 1)
	p.wg.Go(func() { p.poll(raw) }) // ends with close
	return true
}

func (p *poller) placeLocked(c *Conn) {
	if n := len(p.free); n > 0 {
		c.place, p.free = p.free[n-1], p.free[:n-1]
		p.conns[c.place] = c
		return
	}
	c.place = int32(len(p.conns))
	p.conns = append(p.conns, c)
}

// forget undoes wait for a Conn whose socket is closed, and so out of the
// kernel's list. What poll knows of it already may reach who gets its place, to
// no harm.
func (p *poller) forget(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place != 0 && !p.closed {
		p.forgetLocked(c)
	}
}

func (p *poller) forgetLocked(c *Conn) {
	p.conns[c.place] = nil
	p.free = append(p.free, c.place)
	c.place = 0
}

func (p *poller) poll(raw syscall.RawConn) {
	events := make([]syscall.EpollEvent, pollBatch)
	conns := make([]*Conn, 0, pollBatch)
	n := 0
	ready := func(fd uintptr) bool {
		n, _ = syscall.EpollWait(int(fd), events, 0)
		return n > 0 // otherwise Go's poller says when to ask again
	}
	for raw.Read(ready) == nil {
		p.mu.Lock()
		for _, e := range events[:n] {
			if c := p.conns[e.Fd]; c != nil {
				conns = append(conns, c)
			}
		}
		p.mu.Unlock()
		for _, c := range conns {
			c.rouse()
		}
		clear(conns)
		conns = conns[:0]
	}
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.conns = true, nil
	if p.file != nil {
		p.file.Close()
	}
}
