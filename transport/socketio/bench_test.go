package socketio

import (
	"testing"

	"github.com/carillonhq/carillon/transport"
)

type benchLine struct {
	Room string `json:"room"`
	Text string `json:"text"`
	Seq  int    `json:"seq"`
	File Binary `json:"file,omitempty"`
}

var (
	plainLine  = benchLine{Room: "lobby", Text: "hello, world, how are you doing today?", Seq: 42}
	binaryLine = benchLine{Room: "lobby", Text: "hello, world, how are you doing today?", File: make([]byte, 1024)}
)

// What one broadcast costs, whatever the number of its receivers.
func BenchmarkEncode(b *testing.B) {
	run := func(name string, parser Parser, arg any) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := encodeEvent(parser, "/chat", NoID, "line", []any{arg})
				if err != nil {
					b.Fatal(err)
				}
				if sharedEvent(e.data()).(*outgoing) == nil {
					b.Fatal("malformed data")
				}
			}
		})
	}
	run("json", jsonParser{10}, plainLine)
	run("json/binary", jsonParser{10}, binaryLine)
	run("json/pass", jsonParser{10}, receive(b, jsonParser{10}, plainLine).Args[1])
	run("msgpack", MessagePack(), plainLine)
	run("msgpack/binary", MessagePack(), binaryLine)
	run("msgpack/pass", MessagePack(), receive(b, MessagePack(), plainLine).Args[1])
}

// What one event of a client costs, before its handler, and with its argument
// decoded.
func BenchmarkDecode(b *testing.B) {
	run := func(name string, parser Parser, arg any, bind bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			d := parser.NewDecoder()
			in := messages(b, parser, arg)
			for b.Loop() {
				p := decodeMessages(b, d, in)
				if _, err := eventName(p.Args); err != nil {
					b.Fatal(err)
				}
				if bind {
					if err := p.Args[1].Decode(new(benchLine)); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	run("json/pass", jsonParser{10}, plainLine, false)
	run("json/bind", jsonParser{10}, plainLine, true)
	run("json/binary", jsonParser{10}, binaryLine, false)
	run("json/binary/bind", jsonParser{10}, binaryLine, true)
	run("msgpack/pass", MessagePack(), plainLine, false)
	run("msgpack/bind", MessagePack(), plainLine, true)
	run("msgpack/binary", MessagePack(), binaryLine, false)
	run("msgpack/binary/bind", MessagePack(), binaryLine, true)
}

// messages returns an event as a client would send it: without the 4.
func messages(t testing.TB, parser Parser, args ...any) []transport.Frame {
	t.Helper()
	e, err := encodeEvent(parser, "/chat", NoID, "line", args)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range e {
		if !f.Binary {
			e[i].Data = f.Data[1:]
		}
	}
	return e
}

func decodeMessages(t testing.TB, d Decoder, in []transport.Frame) (p *Packet) {
	t.Helper()
	for _, f := range in {
		var err error
		if p, err = d.Decode(f.Binary, f.Data); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// receive returns an event as it is after its way over a connection.
func receive(t testing.TB, parser Parser, args ...any) *Packet {
	t.Helper()
	return decodeMessages(t, parser.NewDecoder(), messages(t, parser, args...))
}
