package polling

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// What a request and its answer are in HTTP. A Conn that is elsewhere is served
// with these, and the Conn's Poll and Post, instead of Serve.

// Header sets the headers of every answer, and has r wait as long as it takes.
func Header(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if ua := r.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
	if r.Method == http.MethodGet {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a server's ReadTimeout is not for polls
	}
}

// Records reports whether the body of a POST is binary, as in protocol 3.
func Records(r *http.Request) bool {
	return r.Header.Get("Content-Type") == "application/octet-stream"
}

// Write answers a poll, compressed if the client likes that.
func (a *Acceptor) Write(w http.ResponseWriter, r *http.Request, answer Answer) error {
	h := w.Header()
	kind, body := "text/plain; charset=UTF-8", answer.Body
	if answer.Binary {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	if m := a.opts.MinCompress; m > 0 && len(body) >= m && answer.Compress {
		if enc := negotiate(r.Header.Values("Accept-Encoding")); enc != "" {
			h.Set("Content-Encoding", enc)
			body = a.zip.compress(enc, body)
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(a.opts.WriteTimeout)) // else the server's own bounds it
	_, err := w.Write(body)
	if err == nil {
		err = rc.Flush()
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("answer poll: %w", err)
	}
	return nil
}

// Read returns the body of a POST, which fails with transport.ErrTooLarge if it
// is longer than Options.MaxPayload. It grows its buffer with what comes, not
// with what the header claims.
func (a *Acceptor) Read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(a.opts.MaxPayload)
	if r.ContentLength > limit {
		return nil, transport.ErrTooLarge
	}
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), 32<<10)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		err = transport.ErrTooLarge
	}
	return b.Bytes(), err
}

// Done answers a POST.
func Done(w http.ResponseWriter, status int) {
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html") // text/plain made old browsers offer a download
	h.Set("Content-Length", "2")
	_, _ = w.Write([]byte("ok")) // a client that does not hear it will hang up, or time out
}
