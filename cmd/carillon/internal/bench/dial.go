package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A server is where clients connect.
type server struct {
	addr    string // host:port
	tls     *tls.Config
	request []byte // the upgrade
}

func newServer(text, path string) (*server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	s := &server{addr: u.Host}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		s.addr = net.JoinHostPort(u.Hostname(), port)
	}
	if u.Scheme == "https" {
		s.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	}
	s.request = []byte("GET " + path + "?EIO=4&transport=websocket HTTP/1.1\r\nHost: " + u.Host + "\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: Y2FyaWxsb24gYmVuY2ghIQ==\r\n\r\n")
	return s, nil
}

// dial opens a session and returns a client that is in no namespace yet.
func (s *server) dial(ctx context.Context, index int, timeout time.Duration) (*conn, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	inner, err := new(net.Dialer).DialContext(bounded, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		inner = tls.Client(inner, s.tls)
	}
	c := &conn{net: inner, index: index}
	stop := context.AfterFunc(ctx, c.end)
	defer stop()
	_ = inner.SetDeadline(time.Now().Add(timeout)) // until join
	if err := s.open(c); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// open makes a session of a connection.
func (s *server) open(c *conn) error {
	if _, err := c.net.Write(s.request); err != nil {
		return err
	}
	if err := c.upgraded(); err != nil {
		return err
	}
	packet, err := c.next()
	if err == nil && (len(packet) == 0 || packet[0] != '0') {
		err = fmt.Errorf("handshake: not Engine.IO: %s", brief(string(packet)))
	}
	return err
}

// upgraded reads the answer to the request.
func (c *conn) upgraded() error {
	for {
		if i := bytes.Index(c.rest, []byte("\r\n\r\n")); i >= 0 {
			status, _, _ := strings.Cut(string(c.rest[:i]), "\r\n")
			body := string(c.rest[i+4:])
			if _, what, ok := strings.Cut(status, " "); !ok || !strings.HasPrefix(what, "101") {
				return fmt.Errorf("handshake: HTTP %s %s", what, brief(body))
			}
			c.rest = c.rest[i+4:]
			return nil
		}
		if len(c.rest) > 64<<10 {
			return errors.New("handshake: endless headers")
		}
		if err := c.more(); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	}
}

func (c *conn) more() error {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	n, err := c.net.Read(buf[:])
	c.rest = append(c.rest, buf[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// next reads the next text, before read is called.
func (c *conn) next() ([]byte, error) {
	for {
		op, payload, size, err := cutFrame(c.rest)
		switch {
		case err != nil:
			return nil, err
		case size > 0:
			text := bytes.Clone(payload)
			c.rest = c.rest[size:]
			if op == opText {
				return text, nil
			}
			if op == opClose {
				return nil, endError("closed by the server" + closeStatus(text))
			}
			continue
		}
		if err := c.more(); err != nil {
			return nil, err
		}
	}
}

// joinPacket is the CONNECT of a user.
func joinPacket(auth map[string]any, user string) ([]byte, error) {
	all := map[string]any{"user": user}
	maps.Copy(all, auth)
	text, err := json.Marshal(all)
	return append([]byte("40"), text...), err
}

// join enters the namespace "/" as a user.
func (c *conn) join(auth map[string]any, user string) error {
	packet, err := joinPacket(auth, user)
	if err != nil {
		return err
	}
	if _, err := c.net.Write(appendFrame(nil, opText, packet)); err != nil {
		return err
	}
	for {
		answer, err := c.next()
		switch {
		case err != nil:
			return fmt.Errorf("CONNECT: %w", err)
		case bytes.HasPrefix(answer, []byte("40")):
			return c.net.SetDeadline(time.Time{})
		case bytes.HasPrefix(answer, []byte("44")):
			return fmt.Errorf("CONNECT refused: %s", brief(string(answer[2:])))
		case string(answer) == "2":
			if _, err := c.net.Write(pong); err != nil {
				return err
			}
		}
	}
}

// start reads on, with what came behind the handshake first, and tells over
// how the connection ended.
func (c *conn) start(h hearer, over func(error)) {
	c.hears = h
	rest := c.rest
	c.rest = nil
	go func() { // ends with the connection
		err := c.feed(rest)
		if err == nil {
			err = c.read()
		}
		over(err)
	}()
}

func closeStatus(payload []byte) string {
	if len(payload) < 2 {
		return ""
	}
	return " with status " + strconv.Itoa(int(binary.BigEndian.Uint16(payload)))
}

// kindOf names an error so that those of many clients are counted together:
// without the addresses in it.
func kindOf(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.EMFILE):
		return "too many open files here: see ulimit -n"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no local port left for another connection"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "connection ended"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return brief(err.Error())
}
