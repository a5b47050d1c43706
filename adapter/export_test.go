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
