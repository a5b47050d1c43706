package broker_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/carillonhq/carillon/broker"
)

// What does not become smaller is left alone, and after eight times in a row
// only one envelope in sixteen is tried.
func TestPackPolicy(t *testing.T) {
	var p broker.Packer
	text := []byte(strings.Repeat("to be or not to be ", 100))
	if p.Pack(text[:1000]) {
		t.Error("1000 bytes were compressed, which is not worth it")
	}
	if !p.Pack(text) {
		t.Error("text was not compressed")
	}
	for range 8 {
		if p.Pack(noise(2000)) {
			t.Fatal("noise was compressed")
		}
	}
	tried := 0
	for range 64 {
		if p.Pack(text) {
			tried++
			break
		}
		tried--
	}
	if tried != -14 {
		t.Errorf("the %dth envelope after the misses was tried, want the 16th", 2-tried)
	}
	if !p.Pack(text) {
		t.Error("a success does not end the pause")
	}
}

// Compression saves bytes on the wire, unless it is off or a message is not to
// be compressed; the messages come all the same, in order.
func TestCompression(t *testing.T) {
	for name, c := range map[string]struct {
		opt  broker.Compression
		want func(bytes int) bool
	}{
		"on":  {broker.Compression{}, func(n int) bool { return n < 30_000 }},
		"off": {broker.Compression{Off: true}, func(n int) bool { return n > 200_000 }},
		"some": {broker.Compression{Skip: func(ch string, body []byte) bool {
			return ch == "b"
		}}, func(n int) bool { return n > 100_000 && n < 130_000 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sum := 0
				x, y := pair(t, broker.Options{Compression: c.opt, Hooks: broker.Hooks{
					Published: func(n, size int, _ time.Duration, _ error) {
						if n > 0 {
							sum += size
						}
					},
				}})
				x.faults.set(func(f *faults) { f.away = true }) // so that all goes in one envelope
				ok(t, x.Broadcast("a", nil))
				synctest.Wait()
				sum = 0
				var want []string
				for i := range 100 {
					ch := []string{"a", "b"}[i/10%2]
					body := fmt.Sprint(i, strings.Repeat(" ding dong", 200))
					ok(t, x.Broadcast(ch, []byte(body)))
					want = append(want, "x: "+body)
				}
				x.faults.set(func(f *faults) { f.away = false })
				time.Sleep(2 * time.Second)
				equal(t, y.take()[1:], want...)
				if !c.want(sum) {
					t.Errorf("%d bytes were published", sum)
				}
			})
		})
	}
}

// The bytes of an S2 block, as a later version of the compressor may not write
// but must read them: a literal, and a copy that overlaps itself.
func TestPackedGolden(t *testing.T) {
	head := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, nil, nil).Encode("x")
	block, _ := hex.DecodeString("1b" + "24" + "01190001010163" + "00686f" + "420100")
	plain := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, []broker.Msg{
		broker.NewMsg(0, 1, 0, 0, "c", nil, "ho"+strings.Repeat("o", 17)),
	}, nil).Encode("x")
	got, err := broker.Decode("x", append(bytes.Clone(head), broker.PackedItem(block)...))
	if err != nil {
		t.Fatal(err)
	}
	if again := got.Encode("x"); !bytes.Equal(again, plain) {
		t.Errorf("got\n%swant\n%s", hex.Dump(again), hex.Dump(plain))
	}
}

// Compressed bytes may claim and hold anything.
func TestHostileBlocks(t *testing.T) {
	head := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, nil, nil).Encode("x")
	item := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, []broker.Msg{broker.NewMsg(0, 1, 0, 0, "c", nil, "b")}, nil).Encode("x")[len(head):]
	hello := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), []broker.Hello{broker.NewHello(0, broker.NodeID{}, 0, 0, "n")}, nil, nil, nil).Encode("x")[len(head):]
	for name, block := range map[string][]byte{
		"nothing at all":          {},
		"no block":                []byte("this is no S2"),
		"a size of 4 GB":          binary.AppendUvarint(nil, 1<<32-1),
		"2 MB of zeros":           s2.Encode(nil, make([]byte, 2<<20)),
		"shorter than it claims":  s2.Encode(nil, item)[:4],
		"half an item":            s2.Encode(nil, item[:len(item)-1]),
		"a packed item in itself": s2.Encode(nil, broker.PackedItem(s2.Encode(nil, item))),
		"a hello":                 s2.Encode(nil, hello),
		"an unknown item":         s2.Encode(nil, []byte{99, 0}),
	} {
		wire := append(bytes.Clone(head), broker.PackedItem(block)...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := broker.Decode("x", wire)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
	if _, err := broker.Decode("x", append(bytes.Clone(head), broker.PackedItem(s2.Encode(nil, append(bytes.Clone(item), item...)))...)); err != nil {
		t.Errorf("two messages: %v", err)
	}
}
