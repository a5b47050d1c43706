package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Upgrades answers the requests by which most clients come, those that open a
// WebSocket, without the buffers and goroutines that net/http's server has for
// a connection and that are thrown away, or ended, as soon as it is a WebSocket.
//
// It looks at the first bytes of each connection before anybody reads them. If
// they are exactly one such request, which is parsed by http.ReadRequest and
// held to what net/http's server holds it to, Handler answers it. All else is
// left to net/http's server, which finds the connection as it was.
type Upgrades struct {
	Path     string // of the requests, which name no session in their query
	Handler  http.Handler
	Timeout  time.Duration // for the first bytes, and for an answer to be taken
	HalfOpen *HalfOpen     // that counts the connections until their requests are there; not nil
	Logger   *slog.Logger  // of handlers that panic; not nil
}

// maxUpgrade bounds the headers of a request that is not left to net/http, in
// bytes. Those of browsers, with cookies, mostly take less than half of it.
const maxUpgrade = 4 << 10

// Listen returns a listener for net/http's server that has those connections of
// l that are left to it. Where a system can't look without reading it is l. Close
// of the listener closes those of which nothing has come yet; wait, after it,
// waits for handlers.
func (u *Upgrades) Listen(l net.Listener) (rest net.Listener, wait func()) {
	if _, ok := l.(*net.TCPListener); !ok || !canPeek {
		return l, func() {}
	}
	s := &sieve{
		Listener: l, u: u, prefix: []byte("GET " + u.Path + "?"), silent: make(map[net.Conn]struct{}),
		rest: make(chan net.Conn), errs: make(chan error), done: make(chan struct{}),
	}
	s.buffers.New = func() any { return new([maxUpgrade]byte) }
	s.readers.New = func() any { return bufio.NewReaderSize(nil, maxUpgrade) }
	s.wg.Go(s.accept) // ends with Close
	return s, s.wg.Wait
}

// A sieve is the listener that Upgrades makes.
type sieve struct {
	net.Listener
	u       *Upgrades
	prefix  []byte
	buffers sync.Pool // *[maxUpgrade]byte
	readers sync.Pool // *bufio.Reader of maxUpgrade bytes

	rest chan net.Conn
	errs chan error
	done chan struct{} // closed by Close
	wg   sync.WaitGroup

	mu     sync.Mutex // guards all below
	silent map[net.Conn]struct{}
	closed bool
}

// Accept implements net.Listener.
func (s *sieve) Accept() (net.Conn, error) {
	select {
	case c := <-s.rest:
		return c, nil
	case err := <-s.errs:
		return nil, err
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *sieve) Close() error {
	err := s.Listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return err
	}
	s.closed = true
	close(s.done)
	for c := range s.silent {
		_ = c.Close() // it may have gone by itself
	}
	return err
}

// accept takes connections, until Close. Whoever calls Accept decides how long
// to wait after an error.
func (s *sieve) accept() {
	for {
		c, err := s.Listener.Accept()
		if err == nil {
			s.wg.Go(func() { s.look(c) }) // ends with the request, the connection, or Close
			continue
		}
		select {
		case s.errs <- err:
		case <-s.done:
			return
		}
	}
}

// look sees whose a connection is.
func (s *sieve) look(c net.Conn) {
	buffer := s.buffers.Get().(*[maxUpgrade]byte)
	n, err := s.peek(c, buffer[:])
	var r *http.Request
	if err == nil {
		deepen()
		r = s.request(buffer[:n])
	}
	if r != nil {
		_, err = io.ReadFull(c, buffer[:n])
	}
	s.buffers.Put(buffer)
	switch {
	case err != nil:
		_ = c.Close()
	case r != nil:
		s.serve(c, r)
	default:
		select {
		case s.rest <- c:
		case <-s.done:
			_ = c.Close()
		}
	}
}

// peek waits for the first bytes of a connection, and returns how many there are.
func (s *sieve) peek(c net.Conn, b []byte) (n int, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, net.ErrClosed
	}
	s.silent[c] = struct{}{}
	s.mu.Unlock()
	s.u.HalfOpen.add(c)
	if s.u.Timeout > 0 {
		_ = c.SetReadDeadline(time.Now().Add(s.u.Timeout)) // it is open, or peek says that it is not
	}
	n, err = peek(c.(*net.TCPConn), b)
	_ = c.SetReadDeadline(time.Time{})
	s.mu.Lock()
	delete(s.silent, c)
	s.mu.Unlock()
	s.u.HalfOpen.remove(c) // net/http's server has it added again
	return n, err
}

// request returns the request that b is, if it is one that opens a WebSocket and
// all that the client has said.
func (s *sieve) request(b []byte) *http.Request {
	if !bytes.HasPrefix(b, s.prefix) || bytes.Index(b, crlf2) != len(b)-len(crlf2) {
		return nil
	}
	if countHosts(b) != 1 {
		return nil // http.ReadRequest keeps the first only
	}
	reader := s.readers.Get().(*bufio.Reader)
	defer s.readers.Put(reader)
	reader.Reset(bytes.NewReader(b))
	r, err := http.ReadRequest(reader)
	if err != nil || !s.opens(r) {
		return nil
	}
	return r
}

var (
	crlf2 = []byte("\r\n\r\n")
	host  = []byte("host:")
)

// countHosts counts the lines of a request that are its Host header.
func countHosts(b []byte) (n int) {
	for line := range bytes.Lines(b) {
		if len(line) > len(host) && bytes.EqualFold(line[:len(host)], host) {
			n++
		}
	}
	return n
}

// opens reports whether r is all that net/http's server wants it to be, and no
// more than the opening of a WebSocket.
func (s *sieve) opens(r *http.Request) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.URL.Path != s.u.Path || r.ContentLength != 0 || len(r.TransferEncoding) > 0 ||
		!strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || strings.Contains(r.URL.RawQuery, "sid=") || !httpguts.ValidHostHeader(r.Host) {
		return false
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) || name == "Expect" || name == "Content-Length" || name == "Trailer" {
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
	}
	return true
}

// deepen has the stack of a goroutine grow once, to what handlers need, while
// there is little on it that would have to be adjusted.
//
//go:noinline
func deepen() {
	var room [5 << 10]byte
	runtime.KeepAlive(&room)
}

// serve has the handler answer, which mostly takes the connection.
func (s *sieve) serve(c net.Conn, r *http.Request) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r = r.WithContext(ctx)
	r.RemoteAddr = c.RemoteAddr().String()
	a := &answer{conn: c, header: make(http.Header)}
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler {
			s.u.Logger.Error("panic in an HTTP handler", "panic", p, "stack", string(debug.Stack()))
		}
		switch {
		case a.taken:
		case p != nil:
			_ = c.Close()
		default:
			a.send(r, s.u.Timeout)
		}
	}()
	s.u.Handler.ServeHTTP(a, r)
}

// An answer is what a handler says to one who opens a WebSocket.
type answer struct {
	conn   net.Conn
	header http.Header
	status int // 0: none yet
	body   bytes.Buffer
	taken  bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.taken {
		return 0, http.ErrHijacked
	}
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	switch {
	case a.taken:
		return nil, nil, http.ErrHijacked
	case a.status != 0:
		return nil, nil, errors.New("an answer has begun")
	}
	a.taken = true
	const least = 16 // bytes; nothing was read ahead
	return a.conn, bufio.NewReadWriter(bufio.NewReaderSize(a.conn, least), bufio.NewWriterSize(a.conn, least)), nil
}

// send writes the answer, as the last of its connection.
func (a *answer) send(r *http.Request, timeout time.Duration) {
	defer a.conn.Close()
	a.WriteHeader(http.StatusOK)
	if a.header.Get("Content-Type") == "" && a.body.Len() > 0 {
		a.header.Set("Content-Type", http.DetectContentType(a.body.Bytes()))
	}
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	a.header.Del("Connection") // Close sets it
	res := &http.Response{
		StatusCode: a.status, ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Request: r, Close: true,
		ContentLength: int64(a.body.Len()), Body: io.NopCloser(&a.body),
	}
	w := bufio.NewWriter(a.conn)
	if timeout > 0 {
		_ = a.conn.SetWriteDeadline(time.Now().Add(timeout))
	}
	if res.Write(w) != nil || w.Flush() != nil {
		return
	}
	// What the client has said meanwhile would have the system tell it that the
	// connection broke, perhaps before it has read the answer.
	if tcp, ok := a.conn.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		_ = tcp.SetReadDeadline(time.Now().Add(500 * time.Millisecond)) // as net/http's server
		_, _ = io.Copy(io.Discard, tcp)
	}
}
