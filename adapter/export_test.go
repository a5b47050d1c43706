package adapter

// Asks returns the number of questions under way, of this node's and of
// others'.
func (c *Cluster) Asks() (ours, theirs int) {
	c.asks.mu.Lock()
	defer c.asks.mu.Unlock()
	for _, questions := range c.asks.theirs {
		theirs += len(questions)
	}
	return len(c.asks.ours), theirs
}

// Pages returns the number of answers that other nodes have not read to the
// end.
func (c *Cluster) Pages() (n int) {
	c.pages.mu.Lock()
	defer c.pages.mu.Unlock()
	for _, books := range c.pages.open {
		n += len(books)
	}
	return n
}
