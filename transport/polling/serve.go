package polling

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// Serve answers a GET or POST of the client; any other method gets an empty
// 500, as Node's server does. It returns transport.ErrClosed, with nothing
// written, if the Conn has ended or was not started: the caller knows better
// what to say. It may be called concurrently; what overlaps and must not
// (two GETs that wait, two POSTs) ends the Conn.
func (c *Conn) Serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if ua := r.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
	switch r.Method {
	case http.MethodGet:
		return c.get(w, r)
	case http.MethodPost:
		return c.post(w, r)
	}
	w.WriteHeader(http.StatusInternalServerError)
	return nil
}

func (c *Conn) get(w http.ResponseWriter, r *http.Request) error {
	c.mu.Lock()
	switch {
	case c.phase >= told || c.recv == nil:
		c.mu.Unlock()
		return transport.ErrClosed
	case c.waiting:
		c.end(fmt.Errorf("%w: overlapping GETs", transport.ErrProtocol), closePacket)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return nil
	}
	c.waiting = true
	var release <-chan time.Time
	if c.releasing {
		release = time.After(noopDelay)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a server's ReadTimeout is not for polls
	for {
		frames, packet, ok := c.next()
		if ok {
			// From here on the next GET is welcome: the client may have our
			// answer before this goroutine runs again.
			c.waiting, c.noop = false, false
			c.mu.Unlock()
			return c.answer(w, r, frames, packet)
		}
		c.mu.Unlock()
		select {
		case <-c.wake:
			c.mu.Lock()
		case <-release:
			c.mu.Lock()
			c.noop = c.releasing
		case <-r.Context().Done():
			c.mu.Lock()
			c.waiting = false
			c.end(ErrAbandoned, "")
			c.mu.Unlock()
			return nil
		}
	}
}

// next decides what the waiting GET is told: frames, or a single packet; ok
// is false while there is nothing to tell. It is called under c.mu.
func (c *Conn) next() (frames []*transport.Frames, packet string, ok bool) {
	switch {
	case c.phase == ended:
		return nil, c.last, true
	case len(c.queue) > 0:
		frames = c.queue
		c.queue, c.size = nil, 0
		return frames, "", true
	case c.phase == closing:
		c.phase = told
		c.endAfter(linger)
		return nil, closePacket, true
	case c.noop:
		return nil, noopPacket, true
	}
	return nil, "", false
}

// answer writes a poll's answer. What cannot be written ends the Conn.
func (c *Conn) answer(w http.ResponseWriter, r *http.Request, frames []*transport.Frames, packet string) error {
	if len(frames) == 0 && packet == "" {
		return transport.ErrClosed
	}
	body, kind := c.payload(frames, packet)
	h := w.Header()
	h.Set("Content-Type", kind)
	n := len(body)
	// As in Node, one packet that may be compressed takes the others along.
	if m := c.a.opts.MinCompress; m > 0 && n >= m && slices.ContainsFunc(frames, (*transport.Frames).Compressible) {
		if enc := negotiate(r.Header.Values("Accept-Encoding")); enc != "" {
			h.Set("Content-Encoding", enc)
			body = c.a.zip.compress(enc, body)
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(c.a.opts.WriteTimeout)) // else the server's own bounds it
	_, err := w.Write(body)
	if err == nil {
		err = rc.Flush()
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		c.mu.Lock()
		c.end(fmt.Errorf("answer poll: %w", err), closePacket)
		c.mu.Unlock()
		return nil
	}
	if f := c.a.opts.Hooks.Polled; f != nil {
		f(len(frames), n)
	}
	return nil
}

func (c *Conn) post(w http.ResponseWriter, r *http.Request) error {
	records := r.Header.Get("Content-Type") == "application/octet-stream" // binary, as in protocol 3
	c.mu.Lock()
	var err error
	switch {
	case c.phase == ended || c.recv == nil:
		c.mu.Unlock()
		return transport.ErrClosed
	case c.posting:
		err = fmt.Errorf("%w: overlapping POSTs", transport.ErrProtocol)
	case records && c.dialect.Version() == 4:
		err = fmt.Errorf("%w: octet-stream", transport.ErrProtocol)
	}
	if err != nil {
		c.end(err, closePacket)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return nil
	}
	c.posting = true
	c.body = http.NewResponseController(w)
	c.mu.Unlock()

	status := c.take(w, r, records)

	// Free before the answer is written: with it the client may POST again.
	c.mu.Lock()
	c.posting = false
	c.mu.Unlock()
	if status != http.StatusOK {
		w.WriteHeader(status)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/html") // text/plain made old browsers offer a download
	h.Set("Content-Length", "2")
	_, _ = w.Write([]byte("ok")) // a client that does not hear it will hang up, or time out
	return nil
}

// take reads a POST's body, calls the Receiver with each frame of it, and
// returns the status to answer.
func (c *Conn) take(w http.ResponseWriter, r *http.Request, records bool) int {
	body, err := c.read(w, r)
	c.mu.Lock()
	c.body = nil
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		c.mu.Unlock()
		return http.StatusRequestEntityTooLarge // the session lives on
	}
	if err != nil {
		c.end(fmt.Errorf("%w: %w", ErrAbandoned, err), closePacket)
	}
	if c.phase == ended {
		c.mu.Unlock()
		return http.StatusBadRequest
	}
	c.taking = true
	c.mu.Unlock()

	var n int
	last := closePacket
	err = errors.New("polling: receiver panicked") // unless what follows says otherwise
	defer func() {
		c.mu.Lock()
		c.taking = false
		if err != nil {
			c.posting = false
			c.end(err, last)
		}
		c.settle()
		c.mu.Unlock()
		if f := c.a.opts.Hooks.Posted; f != nil {
			f(n, len(body))
		}
	}()
	if n, err = c.deliver(body, records); err != nil {
		if errors.Is(err, transport.ErrClosed) {
			last = noopPacket // the client's own close packet
			return http.StatusOK
		}
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// read returns the body, at most Options.MaxPayload long. It grows its buffer
// with what comes, not with what the header claims.
func (c *Conn) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(c.a.opts.MaxPayload)
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), 32<<10)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	return b.Bytes(), err
}

// deliver calls the Receiver with each frame of body, as long as the Conn
// lives, and says whether that was all. It returns transport.ErrClosed after
// a close packet.
func (c *Conn) deliver(body []byte, records bool) (n int, err error) {
	walk := frames
	switch {
	case c.dialect.Version() == 3 && records:
		walk = records3
	case c.dialect.Version() == 3:
		walk = frames3
	}
	if c.callback != "" && !records {
		if body, err = form(body); err != nil {
			return 0, err
		}
	}
	for f, err := range walk(body) {
		if err != nil {
			return n, err
		}
		if !f.Binary && len(f.Data) > 0 && f.Data[0] == closePacket[0] {
			return n, transport.ErrClosed
		}
		c.mu.Lock()
		gone := c.phase == ended
		c.mu.Unlock()
		if gone {
			return n, errEnded // the client shall not think that the rest was taken
		}
		if err := c.recv.Frame(f.Binary, f.Data); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
