//go:build !linux

package websocket

import "sync"

// A poller waits for resting Conns where the system has a way to wait for many.
// Here each has a goroutine for that.
type poller struct{ wg *sync.WaitGroup }

func (p *poller) wait(*Conn) bool { return false }
func (p *poller) forget(*Conn)    {}
func (p *poller) close()          {}
