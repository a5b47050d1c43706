package polling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// Serve answers a GET or POST of the client; any other method gets an empty
// 500, as Node's server does. It returns transport.ErrClosed, with nothing
// written, if the Conn has ended or was not started: the caller knows better
// what to say. It may be called concurrently; what overlaps and must not
// (two GETs that wait, two POSTs) ends the Conn.
func (c *Conn) Serve(w http.ResponseWriter, r *http.Request) error {
	Header(w, r)
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
	a, err := c.Poll(r.Context(), nil)
	switch {
	case errors.Is(err, transport.ErrProtocol):
		w.WriteHeader(http.StatusBadRequest)
		return nil
	case errors.Is(err, ErrAbandoned):
		return nil
	case err != nil:
		return err
	}
	if err := c.a.Write(w, r, a); err != nil {
		c.mu.Lock()
		c.end(err, closePacket)
		c.mu.Unlock()
		return nil
	}
	c.Polled(a)
	return nil
}

// Poll is what a GET does, for one that came in elsewhere: it waits until
// there is something to tell the client, or for the end of ctx, by which the
// client gave up. It fails with transport.ErrClosed if the Conn has ended or
// was not started, with transport.ErrProtocol if another GET waits and with
// ErrAbandoned; the last two end the Conn. Something in nudge has it answered
// at once, with a noop if need be.
func (c *Conn) Poll(ctx context.Context, nudge <-chan struct{}) (Answer, error) {
	c.mu.Lock()
	switch {
	case c.phase >= told || c.recv == nil:
		c.mu.Unlock()
		return Answer{}, transport.ErrClosed
	case c.waiting:
		err := fmt.Errorf("%w: overlapping GETs", transport.ErrProtocol)
		c.end(err, closePacket)
		c.mu.Unlock()
		return Answer{}, err
	}
	c.waiting = true
	var release <-chan time.Time
	if c.releasing {
		release = time.After(noopDelay)
	}
	for {
		frames, packet, ok := c.next()
		if ok {
			// From here on the next GET is welcome: the client may have our
			// answer before this goroutine runs again.
			c.waiting, c.noop = false, false
			c.mu.Unlock()
			if len(frames) == 0 && packet == "" {
				return Answer{}, transport.ErrClosed
			}
			return c.payload(frames, packet), nil
		}
		c.mu.Unlock()
		select {
		case <-c.wake:
			c.mu.Lock()
		case <-release:
			c.mu.Lock()
			c.noop = c.releasing
		case <-nudge:
			c.mu.Lock()
			c.noop = true
		case <-ctx.Done():
			c.mu.Lock()
			c.waiting = false
			c.end(ErrAbandoned, "")
			c.mu.Unlock()
			return Answer{}, ErrAbandoned
		}
	}
}

// Polled says that the client was sent an answer of Poll.
func (c *Conn) Polled(a Answer) {
	if f := c.a.opts.Hooks.Polled; f != nil {
		f(a.sends, len(a.Body))
	}
}

// Abandon ends the Conn: a request that came in elsewhere was given up by the
// client.
func (c *Conn) Abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(ErrAbandoned, closePacket)
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

func (c *Conn) post(w http.ResponseWriter, r *http.Request) error {
	records := Records(r)
	if err := c.begin(http.NewResponseController(w), records); err != nil {
		if errors.Is(err, transport.ErrProtocol) {
			w.WriteHeader(http.StatusBadRequest)
			return nil
		}
		return err
	}
	status := c.receive(w, r, records)

	// Free before the answer is written: with it the client may POST again.
	c.mu.Lock()
	c.posting = false
	c.mu.Unlock()
	Done(w, status)
	return nil
}

// Post is what a POST does, for one that came in elsewhere and was read there:
// it hands what body holds to the Receiver, and returns the status to answer.
// records says that it came as application/octet-stream. It fails with
// transport.ErrClosed if the Conn has ended or was not started.
func (c *Conn) Post(body []byte, records bool) (status int, err error) {
	if err := c.begin(nil, records); err != nil {
		if errors.Is(err, transport.ErrProtocol) {
			return http.StatusBadRequest, nil
		}
		return 0, err
	}
	defer func() {
		c.mu.Lock()
		c.posting = false
		c.mu.Unlock()
	}()
	return c.take(body, records), nil
}

// begin makes room for a POST, whose body, unless it is there already, is read
// by way of rc. What must not be ends the Conn.
func (c *Conn) begin(rc *http.ResponseController, records bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	switch {
	case c.phase == ended || c.recv == nil:
		return transport.ErrClosed
	case c.posting:
		err = fmt.Errorf("%w: overlapping POSTs", transport.ErrProtocol)
	case records && c.dialect.Version() == 4:
		err = fmt.Errorf("%w: octet-stream", transport.ErrProtocol)
	}
	if err != nil {
		c.end(err, closePacket)
		return err
	}
	c.posting, c.body = true, rc
	return nil
}

// receive reads a POST's body and takes it.
func (c *Conn) receive(w http.ResponseWriter, r *http.Request, records bool) int {
	body, err := c.a.Read(w, r)
	c.mu.Lock()
	c.body = nil
	if errors.Is(err, transport.ErrTooLarge) {
		c.mu.Unlock()
		return http.StatusRequestEntityTooLarge // the session lives on
	}
	if err != nil {
		c.end(fmt.Errorf("%w: %w", ErrAbandoned, err), closePacket)
	}
	c.mu.Unlock()
	return c.take(body, records)
}

// take calls the Receiver with each frame of a POST's body, and returns the
// status to answer.
func (c *Conn) take(body []byte, records bool) int {
	c.mu.Lock()
	if c.phase == ended {
		c.mu.Unlock()
		return http.StatusBadRequest
	}
	c.taking = true
	c.mu.Unlock()

	var n int
	last := closePacket
	err := errors.New("polling: receiver panicked") // unless what follows says otherwise
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
