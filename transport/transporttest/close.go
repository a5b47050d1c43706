package transporttest

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

// wantClosing reads what is on its way to the client until the end.
func wantClosing(t *testing.T, c Client) error {
	t.Helper()
	for range 1 << 20 {
		if _, _, err := c.Receive(); err != nil {
			return err
		}
	}
	t.Error("the client's frames do not end")
	return nil
}

// wantOver checks that conn takes no frame any more.
func wantOver(t *testing.T, conn transport.Conn) {
	t.Helper()
	if err := conn.Send(text("late")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after the end: %v, want ErrClosed", err)
	}
	if conn.SendVolatile(text("late")) {
		t.Error("SendVolatile after the end was taken")
	}
}

func closeFlushes(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, client := open(t, 8<<20, rec)
	const n = 200
	for i := range n {
		send(t, conn, text("%d %s", i, filler[:10000]))
	}
	conn.Close()
	wantOver(t, conn)
	for i := range n {
		wantFrame(t, client, false, fmt.Sprintf("4%d %s", i, filler[:10000]))
	}
	if err := wantClosing(t, client); !errors.Is(err, io.EOF) {
		t.Errorf("the client saw the end as %v, want io.EOF", err)
	}
	rec.WantClosed(nil)
}

func closeFromFrame(t *testing.T, open Open) {
	rec := NewRecorder(t)
	started := make(chan struct{})
	var conn transport.Conn
	rec.OnFrame = func(bool, []byte) error {
		<-started
		_ = conn.Send(text("bye"))
		conn.Close()
		return nil
	}
	c, client := open(t, 0, rec)
	conn = c
	close(started)
	if err := client.Send(false, []byte("4")); err != nil {
		t.Fatal(err)
	}
	wantFrame(t, client, false, "4bye")
	if err := wantClosing(t, client); !errors.Is(err, io.EOF) {
		t.Errorf("the client saw the end as %v, want io.EOF", err)
	}
	rec.WantClosed(nil)
}

func closeAgain(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, client := open(t, 0, rec)
	for range 3 {
		conn.Close()
	}
	wantClosing(t, client)
	rec.WantClosed(nil)
	conn.Close()
	conn.Abort()
	wantOver(t, conn)
}

func abort(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, client := open(t, 8<<20, rec)
	for range 100 {
		send(t, conn, text("%s", filler))
	}
	conn.Abort()
	wantOver(t, conn)
	rec.WantClosed(nil)
	if err := wantClosing(t, client); err == nil {
		t.Error("the client saw no end")
	}
	conn.Abort()
	conn.Close()
}

// abortAfterClose: Close waits for a client that takes nothing, Abort does not.
func abortAfterClose(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, _ := open(t, 64<<20, rec)
	for conn.Buffered() < 1<<20 {
		send(t, conn, text("%s", filler))
	}
	conn.Close()
	conn.Abort()
	rec.WantClosed(nil)
}

func clientCloses(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, client := open(t, 0, rec)
	if err := client.Send(false, []byte("4last")); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if f := rec.Next(); string(f.Data) != "4last" {
		t.Errorf("got %q, want %q", f.Data, "4last")
	}
	rec.WantClosed(transport.ErrClosed)
	wantOver(t, conn)
}

// together calls everything at the same time; what holds then is that Closed
// is called once and last, which the Recorder checks.
func together(t *testing.T, open Open) {
	for i := range 20 {
		rec := NewRecorder(t)
		busy, frames := make(chan struct{}), 0
		rec.OnFrame = func(bool, []byte) error {
			if frames++; frames == 3 {
				close(busy)
			}
			return nil
		}
		conn, client := open(t, 1<<20, rec)
		var wg sync.WaitGroup
		wg.Go(func() { wantClosing(t, client) })
		wg.Go(func() {
			for client.Send(false, []byte("4")) == nil {
			}
		})
		for range 2 {
			wg.Go(func() {
				f := text("%s", filler[:100])
				for conn.Send(f) == nil {
					conn.SendVolatile(f)
					for conn.Buffered() > 256<<10 {
						runtime.Gosched()
					}
				}
			})
		}
		wait(t, busy, "the way to the Receiver")
		wg.Go(func() {
			if i%2 == 0 {
				conn.Close()
			}
			conn.Abort()
		})
		rec.Closing()
		async(t, "use of a closed Conn", wg.Wait)()
	}
}

// nothingLeft opens and ends connections in all ways.
func nothingLeft(t *testing.T, open Open) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		for i := range 20 {
			rec := NewRecorder(t)
			conn, client := open(t, 0, rec)
			send(t, conn, text("hello"))
			wantFrame(t, client, false, "4hello")
			switch i % 4 {
			case 0:
				conn.Close()
				wantClosing(t, client)
			case 1:
				conn.Abort()
			case 2:
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			case 3: // left to the end of the test
				continue
			}
			rec.Closing()
		}
	})
	until(t, fmt.Sprintf("goroutines are back at %d", before), func() bool { return runtime.NumGoroutine() <= before })
}
