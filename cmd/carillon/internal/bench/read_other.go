//go:build !unix

package bench

// readRaw is for systems that have read(2).
func (c *conn) readRaw() (err error, ok bool) { return nil, false }
