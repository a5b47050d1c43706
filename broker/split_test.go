package broker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// noise is what no compressor makes smaller.
func noise(n int) []byte {
	src := rand.NewChaCha8([32]byte{byte(n)})
	b := make([]byte, n)
	src.Read(b)
	return b
}

// Long messages come whole, in order with short ones, to all and to one, as
// request and as answer.
func TestLongMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		var got [][]byte
		y.Handle("long", func(m broker.Message) { got = append(got, m.Body) })
		y.Respond("echo", func(m broker.Message) ([]byte, error) { return m.Body, nil })
		var want [][]byte
		for i, n := range []int{broker.MaxBody, 10, 64 << 10, 64<<10 + 1, 300 << 10, 0, 5 << 20} {
			want = append(want, noise(n))
			if i%2 == 0 {
				ok(t, x.Broadcast("long", want[i]))
			} else {
				ok(t, x.Send(y.Self().ID, "long", want[i]))
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(got) != len(want) {
			t.Fatalf("%d came, want %d", len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("message %d has %d bytes, want %d, or other ones", i, len(got[i]), len(want[i]))
			}
		}
		for _, to := range [][]broker.NodeID{nil, {y.Self().ID}} {
			g, err := x.Request("echo", want[4], to...)
			ok(t, err)
			if as := g.Wait(t.Context()); len(as) != 1 || as[0].Err != nil || !bytes.Equal(as[0].Body, want[4]) {
				t.Error("a long answer did not come back")
			}
		}
		y.Respond("more", func(broker.Message) ([]byte, error) { return make([]byte, broker.MaxBody+1), nil })
		g, err := x.Request("more", nil)
		ok(t, err)
		refused := new(broker.RefusedError)
		if as := g.Wait(t.Context()); len(as) != 1 || !errors.As(as[0].Err, &refused) {
			t.Error("an answer that is too large was not refused")
		}
	})
}

// If a part is lost for good, so is the message: the Gap says so, the other
// parts are dropped, and what follows comes.
func TestLostPart(t *testing.T) {
	for lost := range 4 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, y := pair(t, broker.Options{Cluster: "x"})
				liar := broker.NodeID{1, 2, 3}
				pn := uint64(0)
				send := func(direct bool, e func(h broker.Header) *broker.Envelope) {
					pn++
					y.Inject(direct, e(broker.NewHeader(liar, pn, 0, 0)).Encode("x"))
				}
				send(true, func(h broker.Header) *broker.Envelope {
					return broker.NewEnvelope(h, []broker.Hello{broker.NewHello(0, y.Self().ID, 0, 0, "z")}, nil, nil, nil)
				})
				for i, flags := range []byte{broker.MsgMore, broker.MsgMore | broker.MsgPart, broker.MsgPart, 0} {
					if i == lost {
						continue
					}
					seq := uint64(i + 1)
					send(false, func(h broker.Header) *broker.Envelope {
						return broker.NewEnvelope(h, nil, nil, []broker.Msg{broker.NewMsg(flags, seq, seq-1, 0, "a", nil, fmt.Sprint(i))}, nil)
					})
				}
				seq := uint64(lost + 1)
				send(true, func(h broker.Header) *broker.Envelope {
					return broker.NewEnvelope(h, nil, nil, nil, nil).Answer(seq-1, seq, seq, 4)
				})
				want := []string{"z up", fmt.Sprintf("z gap %d-%d", seq-1, seq), "z: 3"}
				if lost == 3 {
					want = []string{"z up", "z: 012", "z gap 3-4"}
				}
				equal(t, y.take(), want...)
				if n := y.Assembling(); n != 0 {
					t.Errorf("%d bytes of unfinished messages are kept", n)
				}
				_ = x
			})
		})
	}
}

// A node that goes down in the midst of a message leaves a Gap, and no bytes.
func TestHalfMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, y := pair(t, broker.Options{Cluster: "x"})
		liar := broker.NodeID{1, 2, 3}
		y.Inject(true, broker.NewEnvelope(broker.NewHeader(liar, 1, 0, 0), []broker.Hello{broker.NewHello(0, y.Self().ID, 0, 0, "z")}, nil, nil, nil).Encode("x"))
		y.Inject(false, broker.NewEnvelope(broker.NewHeader(liar, 2, 0, 0), nil, nil, []broker.Msg{
			broker.NewMsg(broker.MsgMore, 1, 0, 0, "a", nil, "once upon"),
			broker.NewMsg(broker.MsgMore|broker.MsgPart, 2, 1, 0, "a", nil, " a time"),
		}, nil).Encode("x"))
		synctest.Wait()
		if n := y.Assembling(); n != 16 {
			t.Errorf("%d bytes of unfinished messages are kept, want 16", n)
		}
		time.Sleep(10 * time.Second)
		equal(t, y.take(), "z up", "z gap 0-2", "z down")
		if n := y.Assembling(); n != 0 {
			t.Errorf("%d bytes of unfinished messages are kept", n)
		}
	})
}

// Parts without end are not collected without end.
func TestEndlessMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, y := pair(t, broker.Options{Cluster: "x"})
		liar := broker.NodeID{1, 2, 3}
		y.Inject(true, broker.NewEnvelope(broker.NewHeader(liar, 1, 0, 0), []broker.Hello{broker.NewHello(0, y.Self().ID, 0, 0, "z")}, nil, nil, nil).Encode("x"))
		body := string(make([]byte, 1<<20))
		for i := range uint64(40) {
			flags := byte(broker.MsgMore | broker.MsgPart)
			if i == 0 {
				flags = broker.MsgMore
			}
			y.Inject(false, broker.NewEnvelope(broker.NewHeader(liar, i+2, 0, 0), nil, nil, []broker.Msg{
				broker.NewMsg(flags, i+1, i, 0, "a", nil, body),
			}, nil).Encode("x"))
			synctest.Wait()
			if n := y.Assembling(); n > broker.MaxBody {
				t.Fatalf("%d bytes of one message are kept", n)
			}
		}
		equal(t, y.take(), "z up", "z gap 0-17")
	})
}

// limited is a driver that takes little, and says so unless it is silent.
type limited struct {
	broker.Driver
	t      *testing.T
	max    int
	silent bool

	mu      sync.Mutex
	refused int
}

func (d *limited) Limits() broker.Limits {
	if d.silent {
		return broker.Limits{}
	}
	return broker.Limits{MaxMessage: d.max}
}

func (d *limited) Publish(ctx context.Context, topic string, data []byte) error {
	if len(data) > d.max {
		if !d.silent {
			d.t.Errorf("an envelope has %d bytes, at most %d are possible", len(data), d.max)
		}
		d.mu.Lock()
		d.refused++
		d.mu.Unlock()
		return broker.ErrTooLarge
	}
	return d.Driver.Publish(ctx, topic, data)
}

// Envelopes keep to what the driver states. A driver that states nothing and
// refuses costs repairs, but no messages as long as parts of them get through.
func TestLimits(t *testing.T) {
	for _, max := range []int{64 << 10, 100_000, -100_000} {
		t.Run(fmt.Sprint(max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.NewHub()
				y := start(t, hub, "y", broker.Options{})
				d := &limited{Driver: hub.Driver(), t: t, max: max, silent: max < 0}
				if d.silent {
					d.max = -max
				}
				x, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return d, nil }, broker.Options{Node: "x", Logger: silent, Compression: broker.Compression{Off: true}})
				ok(t, err)
				defer x.Close()
				time.Sleep(time.Second)
				y.take()
				var want []string
				for i := range 120 {
					body := append(fmt.Appendf(nil, "%d ", i), bytes.Repeat([]byte{'.'}, i*i*20)...)
					if i%3 == 0 {
						ok(t, x.Send(y.Self().ID, "a", body))
					} else {
						ok(t, x.Broadcast("b", body))
					}
					want = append(want, "x: "+string(body))
					if i%20 == 0 {
						time.Sleep(time.Second)
					}
				}
				time.Sleep(time.Minute)
				got := y.take()
				for i := range got {
					if i < len(want) && got[i] != want[i] {
						t.Fatalf("message %d: got %.40q", i, got[i])
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d came, want %d", len(got), len(want))
				}
				if d.silent && (d.refused == 0 || d.refused > 20) {
					t.Errorf("%d envelopes were refused", d.refused)
				}
			})
		})
	}
}

// What the broker never takes is a Gap, and does not stop the rest.
func TestRefusedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		y := start(t, hub, "y", broker.Options{})
		d := &limited{Driver: hub.Driver(), t: t, max: 10_000, silent: true}
		x, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return d, nil }, broker.Options{Node: "x", Logger: silent, Compression: broker.Compression{Off: true}})
		ok(t, err)
		defer x.Close()
		time.Sleep(time.Second)
		y.take()
		ok(t, x.Broadcast("a", []byte("1")))
		synctest.Wait()
		ok(t, x.Broadcast("a", make([]byte, 20_000)))
		synctest.Wait()
		ok(t, x.Broadcast("a", []byte("3")))
		time.Sleep(time.Second)
		equal(t, y.take(), "x: 1", "x gap 1-2", "x: 3")
	})
}

// A driver that takes less than a Bus needs is none.
func TestLimitTooLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		var logs logBuffer
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
			return &limited{Driver: hub.Driver(), t: t, max: 1000}, nil
		}, broker.Options{Logger: logTo(&logs)})
		ok(t, err)
		defer b.Close()
		if s := b.State(); s != broker.Connecting {
			t.Errorf("got state %v, want connecting", s)
		}
		if s := logs.take(); !strings.Contains(s, "at least 65536 are needed") {
			t.Errorf("got logs\n%s", s)
		}
	})
}

// With a thousand members an envelope names all of them, and stays within its limit.
func TestManyRefs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		d := &limited{Driver: hub.Driver(), t: t, max: 64 << 10}
		x, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return d, nil }, broker.Options{Node: "x", Cluster: "x", Logger: silent, Compression: broker.Compression{Off: true}})
		ok(t, err)
		defer x.Close()
		var ids []broker.NodeID
		for i := range uint64(1000) {
			var id broker.NodeID
			binary.LittleEndian.PutUint64(id[:], i*7919+1)
			ids = append(ids, id)
			x.Inject(true, broker.NewEnvelope(broker.NewHeader(id, 1, 0, 0), []broker.Hello{broker.NewHello(0, x.Self().ID, 0, 0, fmt.Sprint("n", i))}, nil, nil, nil).Encode("x"))
		}
		synctest.Wait()
		if n := len(x.Members()); n != 1000 {
			t.Fatalf("%d members, want 1000", n)
		}
		for range 3 {
			for _, id := range ids {
				ok(t, x.Send(id, "a", nil))
			}
			ok(t, x.Broadcast("a", make([]byte, 100_000)))
			time.Sleep(time.Second)
		}
	})
}

// What was handed over counts no more, and no less.
func TestLongMessagesAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		for range 3 {
			ok(t, x.Broadcast("a", make([]byte, 1<<20)))
			synctest.Wait()
		}
		if n := y.Queued(); n != 0 {
			t.Errorf("%d bytes are said to wait for handlers", n)
		}
	})
}
