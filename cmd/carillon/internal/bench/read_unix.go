//go:build unix

package bench

import (
	"io"
	"net"
	"os"
	"syscall"
)

// readRaw reads a TCP connection with as few system calls as it can: one for
// each time that there is something, and a buffer only then. It reports false
// for other connections.
func (c *conn) readRaw() (err error, ok bool) {
	tcp, ok := c.net.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err, true
	}
	var end error
	err = raw.Read(func(fd uintptr) bool {
		buf := buffers.Get().(*[64 << 10]byte)
		defer buffers.Put(buf)
		for {
			n, err := syscall.Read(int(fd), buf[:])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return false
			case err != nil:
				end = os.NewSyscallError("read", err)
				return true
			case n == 0:
				end = io.EOF
				return true
			}
			if end = c.feed(buf[:n]); end != nil {
				return true
			}
			if n < len(buf) {
				return false // all there was; the poller tells of more
			}
		}
	})
	if end != nil {
		return end, true
	}
	return err, true
}
