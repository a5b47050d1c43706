package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// patience bounds each wait of the suite; nothing takes nearly as long.
const patience = 30 * time.Second

// A Recorder is a Receiver that passes on what it hears, and fails its test
// when it is called in a way that transport.Receiver rules out.
type Recorder struct {
	// OnFrame, if set, is called with each frame instead of keeping it; its
	// error is what Frame returns.
	OnFrame func(binary bool, data []byte) error

	t      *testing.T
	frames chan transport.Frame
	closed chan error
	busy   atomic.Bool
	ended  atomic.Bool
}

// NewRecorder returns a Recorder that holds what it is called with to the
// contract until the end of t.
func NewRecorder(t *testing.T) *Recorder {
	return &Recorder{t: t, frames: make(chan transport.Frame, 1<<14), closed: make(chan error, 1)}
}

// Frame implements transport.Receiver.
func (r *Recorder) Frame(binary bool, data []byte) error {
	defer r.enter("Frame")()
	if r.OnFrame != nil {
		return r.OnFrame(binary, data)
	}
	r.frames <- transport.Frame{Binary: binary, Data: data}
	return nil
}

// Closed implements transport.Receiver.
func (r *Recorder) Closed(err error) {
	defer r.enter("Closed")()
	r.ended.Store(true)
	r.closed <- err
}

func (r *Recorder) enter(method string) (leave func()) {
	if !r.busy.CompareAndSwap(false, true) {
		r.t.Errorf("%s called during another call of the Receiver", method)
	}
	if r.ended.Load() {
		r.t.Errorf("%s called after Closed", method)
	}
	return func() { r.busy.Store(false) }
}

// Next waits for the next frame.
func (r *Recorder) Next() transport.Frame {
	r.t.Helper()
	select {
	case f := <-r.frames:
		return f
	case <-time.After(patience):
		r.t.Fatal("the Receiver heard of no frame")
	}
	panic("unreachable")
}

// WantClosed waits for Closed and compares what it was told.
func (r *Recorder) WantClosed(want error) {
	r.t.Helper()
	if err := r.Closing(); !errors.Is(err, want) {
		r.t.Errorf("Closed(%v), want %v", err, want)
	}
}

// Closing waits for Closed and returns what it was told.
func (r *Recorder) Closing() error {
	r.t.Helper()
	select {
	case err := <-r.closed:
		return err
	case <-time.After(patience):
		r.t.Fatal("Closed was not called")
	}
	panic("unreachable")
}

// wait fails t unless done is closed in time.
func wait(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not end", what)
	}
}

// async runs f and returns a function that waits for its end.
func async(t *testing.T, what string, f func()) (join func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return func() {
		t.Helper()
		wait(t, done, what)
	}
}

// until calls f until it reports true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not in time", what)
		}
	}
}

func text(format string, args ...any) *transport.Frames {
	return transport.Text("4" + fmt.Sprintf(format, args...))
}

// wantFrame fails t unless the client receives this frame next.
func wantFrame(t *testing.T, c Client, binary bool, data string) {
	t.Helper()
	b, got, err := c.Receive()
	if err != nil {
		t.Fatalf("Receive: %v, want %.40q", err, data)
	}
	if b != binary || string(got) != data {
		t.Fatalf("received binary=%t %.40q (%d bytes), want binary=%t %.40q (%d bytes)", b, got, len(got), binary, data, len(data))
	}
}

func send(t *testing.T, c transport.Conn, f *transport.Frames) {
	t.Helper()
	if err := c.Send(f); err != nil {
		t.Fatalf("Send: %v", err)
	}
}
