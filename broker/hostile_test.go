package broker_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// FuzzReceive brings what a peer may send, well-formed or not: nothing of it
// may cause a panic, or stop the bus.
func FuzzReceive(f *testing.F) {
	b, err := broker.Open(f.Context(), memory.Open, broker.Options{Cluster: "x", Logger: silent})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { b.Close() })
	b.Respond("q", func(m broker.Message) ([]byte, error) { return m.Body, nil })
	b.Handle("c", func(broker.Message) {})
	for _, c := range envelopes() {
		f.Add(true, c.e.Encode("x"))
		f.Add(true, c.e.EncodePacked("x"))
		f.Add(false, c.e.Encode("x"))
	}
	f.Fuzz(func(t *testing.T, direct bool, in []byte) {
		b.Inject(direct, in)
		if err := b.Broadcast("c", in); err != nil && !errors.Is(err, broker.ErrOverflow) {
			t.Error(err)
		}
	})
}

// Well-formed nonsense: numbers at the end of their range, greetings for
// nobody, a peer that claims to be us. The bus goes on with those who make sense.
func TestNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{Cluster: "x"})
		const top = math.MaxUint64
		liar := broker.NodeID{0xff, 1}
		send := func(direct bool, h broker.Header, hellos []broker.Hello, b *broker.Beat, ms ...broker.Msg) {
			y.Inject(direct, broker.NewEnvelope(h, hellos, b, ms, nil).Encode("x"))
		}
		me := y.Self().ID
		send(false, broker.NewHeader(liar, 1, top, top), nil, broker.NewBeat(top))
		send(true, broker.NewHeader(liar, 2, 0, 0), []broker.Hello{broker.NewHello(broker.HelloWant, me, 3, 3, "liar")}, nil)
		send(false, broker.NewHeader(liar, 3, 0, 0), nil, nil, broker.NewMsg(0, 4, 3, 0, "a", nil, "true"), broker.NewMsg(0, top, top-1, 0, "a", nil, "false"))
		send(true, broker.NewHeader(liar, 4, 0, top), nil, nil, broker.NewMsg(broker.MsgDirect|broker.MsgAnswer, 6, 5, top, "", nil, "no question"))
		send(false, broker.NewHeader(liar, top, top, top), nil, broker.NewBeat(top, broker.NewRef(binary.LittleEndian.Uint32(me[:4]), top)))
		ask := func(pn uint64, f func(e *broker.Envelope) *broker.Envelope) {
			y.Inject(true, f(broker.NewEnvelope(broker.NewHeader(liar, pn, 0, 0), nil, nil, nil, nil)).Encode("x"))
		}
		ask(5, func(e *broker.Envelope) *broker.Envelope { return e.Ask(0, top) })
		ask(6, func(e *broker.Envelope) *broker.Envelope { return e.Ask(top, top) })
		ask(7, func(e *broker.Envelope) *broker.Envelope { return e.Answer(5, 5, 5, 5) })
		ask(8, func(e *broker.Envelope) *broker.Envelope { return e.Answer(top-3, top-2, top-1, top) })
		send(false, broker.NewHeader(me, 1<<40, 0, 0), nil, broker.NewBeat(top), broker.NewMsg(0, 1, 0, 0, "a", nil, "from myself"))
		time.Sleep(20 * time.Second)
		ok(t, x.Broadcast("a", []byte("sense")))
		h := y.take()
		for i, want := range []string{"liar up", "liar: true"} {
			if len(h) < 2 || h[i] != want {
				t.Fatalf("got %q", h)
			}
		}
		if h[len(h)-1] != "x: sense" {
			t.Errorf("got %q, want x: sense at the end", h)
		}
		if ms := y.Members(); len(ms) != 1 || ms[0] != x.Self() {
			t.Errorf("got members %v", ms)
		}
	})
}

// A replay of old envelopes, as of a broker that repeats its log, brings nobody
// back to life and nothing twice.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{Cluster: "x"})
		old := broker.NewEnvelope(broker.NewHeader(x.Self().ID, 1, 0, 0), nil, nil, []broker.Msg{broker.NewMsg(0, 1, 0, 0, "a", nil, "1")}, nil).Encode("x")
		ok(t, x.Broadcast("a", []byte("1")))
		equal(t, y.take(), "x: 1")
		y.Inject(false, old)
		ok(t, x.Close())
		equal(t, y.take(), "x down")
		for range 10 {
			y.Inject(false, old)
			time.Sleep(time.Second)
		}
		equal(t, y.take())

		// A node that was never heard of, and is dead: no word of it.
		y.Inject(false, broker.NewEnvelope(broker.NewHeader(broker.NodeID{7}, 9, 0, 0), nil, nil, []broker.Msg{broker.NewMsg(0, 1, 0, 0, "a", nil, "boo")}, nil).Encode("x"))
		time.Sleep(10 * time.Second)
		equal(t, y.take())
	})
}
