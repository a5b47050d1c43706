package websocket

var OffersDeflate = offersDeflate

// Nudge has Conns rest that heard nothing since it was called last.
func (a *Acceptor) Nudge() {
	a.watch.mu.Lock()
	defer a.watch.mu.Unlock()
	a.watch.nudgeLocked()
}

// Rests reports whether no goroutine reads from c.
func (c *Conn) Rests() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rests
}
