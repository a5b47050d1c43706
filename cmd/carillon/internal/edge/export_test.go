package edge

// Kept returns how many users something is remembered of.
func (t *Teller) Kept() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.notes)
}
