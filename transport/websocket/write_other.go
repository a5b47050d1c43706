//go:build !unix

package websocket

import (
	"net"
	"syscall"
)

// rawConn returns nil: without write(2), Conns write by goroutines of their
// own, for as long as there is something to write.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (w *worker) write(uintptr) bool { return true }
