//go:build unix

package websocket

import (
	"net"
	"syscall"
)

// rawConn returns the file descriptor of conn, if writing to that is the
// same as conn.Write: of a type that we do not know it may not be.
func rawConn(conn net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch conn := conn.(type) {
	case *net.TCPConn:
		raw, err = conn.SyscallConn()
	case *net.UnixConn:
		raw, err = conn.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return raw
}

// write is one write(2) that does not wait. Returning true keeps RawConn
// from waiting for the socket.
func (w *worker) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.buf)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return true
		case nil:
			w.n = n
		default:
			w.err = err
		}
		return true
	}
}
