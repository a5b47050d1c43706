package broker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// linked is a driver whose links do what the test says.
type linked struct {
	broker.Driver
	mu   sync.Mutex
	f    func(broker.Link)
	away bool
}

func (l *linked) OnLink(f func(broker.Link)) { l.f = f }

func (l *linked) Publish(ctx context.Context, topic string, data []byte) error {
	l.mu.Lock()
	away := l.away
	l.mu.Unlock()
	if away {
		return errAway
	}
	return l.Driver.Publish(ctx, topic, data)
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// logTo returns a logger that writes no time.
func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		y := start(t, hub, "y", broker.Options{})
		d := &linked{Driver: hub.Driver()}
		var links []broker.Link
		var logs logBuffer
		logger := logTo(&logs)
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return d, nil }, broker.Options{
			Node: "x", Logger: logger, Hooks: broker.Hooks{Link: func(l broker.Link) { links = append(links, l) }},
		})
		ok(t, err)
		x := &node{Bus: b}
		x.listen()
		defer x.Close()
		time.Sleep(time.Second)
		y.take()
		x.take()
		if s := logs.take(); !strings.Contains(s, `level=INFO msg="connected to the broker" node=x`) {
			t.Errorf("got logs\n%s", s)
		}

		why := errors.New("cable")
		d.f(broker.Link{Role: "subscriber", Attempt: 1, Err: why})
		d.f(broker.Link{Role: "publisher", Attempt: 1, Err: why})
		d.mu.Lock()
		d.away = true
		d.mu.Unlock()
		if s := b.State(); s != broker.Down {
			t.Errorf("got state %v, want down", s)
		}
		ok(t, b.Broadcast("a", []byte("waits")))
		time.Sleep(20 * time.Second)
		if ms := b.Members(); len(ms) != 1 {
			t.Errorf("got members %v: nobody may be declared down by who is cut off", ms)
		}
		d.f(broker.Link{Role: "subscriber", Attempt: 11, Err: why})
		d.f(broker.Link{Role: "subscriber", Attempt: 12, Err: why})
		if s := b.State(); s != broker.Degraded {
			t.Errorf("got state %v, want degraded", s)
		}
		d.mu.Lock()
		d.away = false
		d.mu.Unlock()
		d.f(broker.Link{Role: "subscriber", Up: true})
		if s := b.State(); s != broker.Degraded {
			t.Errorf("got state %v, want degraded still", s)
		}
		before := time.Now()
		d.f(broker.Link{Role: "publisher", Up: true}) // wakes what waits
		synctest.Wait()
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %v", took)
		}
		if h := y.take(); len(h) == 0 || h[len(h)-1] != "x: waits" {
			t.Errorf("got %q, want x: waits at the end", h)
		}
		equal(t, x.take(), "state down", "frozen", "state degraded", "state up", "thawed")

		for i, want := range []broker.Link{
			{Role: "subscriber", Attempt: 1, Err: why},
			{Role: "publisher", Attempt: 1, Err: why},
			{Role: "subscriber", Attempt: 11, Err: why},
			{Role: "subscriber", Attempt: 12, Err: why},
			{Role: "subscriber", Up: true},
			{Role: "publisher", Up: true},
		} {
			if i >= len(links) || links[i] != want {
				t.Errorf("the hook was told %v, want %v at %d", links, want, i)
			}
		}

		got := logs.take()
		for _, want := range []string{
			`level=WARN msg="lost the broker" node=x role=subscriber err=cable`,
			`level=WARN msg="lost the broker" node=x role=publisher err=cable`,
			`level=INFO msg=reconnecting node=x role=subscriber try=1 err=cable`,
			`level=INFO msg="broker is back" node=x role=publisher`,
			`level=ERROR msg="the broker stays away, this node is degraded: it serves locally and goes on trying" node=x role=subscriber tries=10 err=cable`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("the log lacks %s\ngot\n%s", want, got)
			}
		}
		if strings.Contains(got, "try=12") {
			t.Error("the log goes on after the node is degraded")
		}
	})
}

// A slow handler holds up its sender, then the driver, and nothing is lost.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{Buffer: 1 << 30})
		var n int
		y.Handle("slow", func(m broker.Message) {
			if m.Body[0] != byte(n) {
				t.Errorf("got %d, want %d", m.Body[0], byte(n))
			}
			n++
			time.Sleep(50 * time.Millisecond)
		})
		for i := range 400 {
			body := make([]byte, 100<<10)
			body[0] = byte(i)
			if i%2 == 0 {
				ok(t, x.Broadcast("slow", body))
			} else {
				ok(t, x.Send(y.Self().ID, "slow", body))
			}
		}
		time.Sleep(2 * time.Minute)
		for _, s := range y.take() {
			if strings.Contains(s, "gap") {
				t.Error(s)
			}
		}
		if n != 400 {
			t.Errorf("got %d messages, want 400", n)
		}
	})
}
