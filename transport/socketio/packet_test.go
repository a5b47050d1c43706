package socketio

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

func TestDecodePacket(t *testing.T) {
	tests := []struct {
		name, in string
		want     packet
		bad      bool
	}{
		{name: "connect", in: `0`, want: packet{typ: TypeConnect, namespace: "/", id: NoID}},
		{name: "connect with auth", in: `0{"token":"x"}`, want: packet{typ: TypeConnect, namespace: "/", id: NoID, payload: []byte(`{"token":"x"}`)}},
		{name: "connect to a namespace", in: `0/admin,{"a":1}`, want: packet{typ: TypeConnect, namespace: "/admin", id: NoID, payload: []byte(`{"a":1}`)}},
		{name: "namespace without a comma", in: `1/admin`, want: packet{typ: TypeDisconnect, namespace: "/admin", id: NoID}},
		{name: "event", in: `2["hello",1]`, want: packet{typ: TypeEvent, namespace: "/", id: NoID, payload: []byte(`["hello",1]`)}},
		{name: "event that wants an ack", in: `2/admin,456["x"]`, want: packet{typ: TypeEvent, namespace: "/admin", id: 456, payload: []byte(`["x"]`)}},
		{name: "event without payload is tolerated", in: `2`, want: packet{typ: TypeEvent, namespace: "/", id: NoID}},
		{name: "ack", in: `30[]`, want: packet{typ: TypeAck, namespace: "/", id: 0, payload: []byte(`[]`)}},
		{name: "binary event", in: `51-["x",{"_placeholder":true,"num":0}]`, want: packet{typ: typeBinaryEvent, namespace: "/", id: NoID, attachments: 1, payload: []byte(`["x",{"_placeholder":true,"num":0}]`)}},
		{name: "binary ack", in: `62-/a,7[1]`, want: packet{typ: typeBinaryAck, namespace: "/a", id: 7, attachments: 2, payload: []byte(`[1]`)}},

		{name: "empty", in: ``, bad: true},
		{name: "unknown type", in: `7`, bad: true},
		{name: "letters", in: `abc`, bad: true},
		{name: "connect with an array", in: `0[]`, bad: true},
		{name: "connect with a string", in: `0"x"`, bad: true},
		{name: "disconnect with a payload", in: `1{}`, bad: true},
		{name: "event with an object", in: `2{}`, bad: true},
		{name: "event with broken JSON", in: `2["hello"`, bad: true},
		{name: "event with trailing text", in: `2["hello"]x`, bad: true},
		{name: "ack with a number", in: `3/a,1x`, bad: true},
		{name: "ack id beyond JavaScript's integers", in: `299999999999999999["x"]`, bad: true},
		{name: "no attachments", in: `50-["x"]`, bad: true},
		{name: "too many attachments", in: `511-["x"]`, bad: true},
		{name: "attachments without a dash", in: `51["x"]`, bad: true},
		{name: "attachments missing", in: `5-["x"]`, bad: true},
		{name: "attachments negative", in: `5-1-["x"]`, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodePacket([]byte(tt.in), 10)
			if tt.bad {
				if !errors.Is(err, errPacket) {
					t.Fatalf("got %+v, %v; want an error that is errPacket", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.typ != tt.want.typ || got.namespace != tt.want.namespace || got.id != tt.want.id ||
				got.attachments != tt.want.attachments || !bytes.Equal(got.payload, tt.want.payload) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// One attachment named many times would grow to gigabytes in a handler.
func TestPlaceholdersRefused(t *testing.T) {
	ph := `{"_placeholder":true,"num":0}`
	for _, in := range []string{
		`51-["a",` + ph + `,` + ph + `]`,
		`51-["a",[` + strings.Repeat(ph+`,`, 1000) + ph + `]]`,
		`51-["a",{"_placeholder":true,"num":1}]`,
		`51-["a",{"_placeholder":true,"num":-1}]`,
		`51-["a",{"x":{},"_placeholder":true,"num":9},` + ph + `]`,
		`51-["a",{"_placeholder":true,"num":"0"}]`,
		`51-["a",{"_placeholder" : true,"x":"` + strings.Repeat("x", 200) + `","num":7}]`,
	} {
		if p := decodeAll(jsonParser{10}, []byte(in), []byte{1}); p != nil {
			t.Errorf("%.100s: not refused", in)
		}
	}
}

func TestEventName(t *testing.T) {
	for payload, want := range map[string]string{
		`["a"]`: "a", `["a\u0062",1]`: "ab", `[1]`: "1", `[1.5]`: "1.5", `[ "a" , 2 ]`: "a",
	} {
		if got, err := eventName(splitArray([]byte(payload))); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", payload, got, err, want)
		}
	}
	for _, payload := range []string{
		`[]`, `[null]`, `[true]`, `[{}]`, `[["a"]]`, `["connect"]`, `["connect_error"]`, `["disconnect"]`,
		`["disconnecting"]`, `["newListener"]`, `["removeListener"]`,
	} {
		if got, err := eventName(splitArray([]byte(payload))); !errors.Is(err, errPacket) {
			t.Errorf("%s: got %q, %v; want an error that is errPacket", payload, got, err)
		}
	}
}

func TestSplitArray(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                        ``,
		` []`:                       ``,
		`[1]`:                       `1`,
		`[1,"a,b]\"",{"x":[1,2]}]`:  `1|"a,b]\""|{"x":[1,2]}`,
		`[ [1 , 2] , "\\" , null ]`: `[1 , 2]|"\\"|null`,
	} {
		var items []string
		for _, r := range splitArray(bytes.TrimSpace([]byte(in))) {
			items = append(items, string(r.data))
		}
		if got := strings.Join(items, "|"); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// A packet is refused, or what it says comes back when it is encoded anew.
func FuzzDecodePacket(f *testing.F) {
	for _, s := range []string{
		`0`, `0/a,{"x":1}`, `2["a",{"b":[1,"c\u0000"]}]`, `51-/n,12["x",{"_placeholder":true,"num":0}]`,
		`3/a,1[]`, `2["a",{"num":0,"_placeholder":true}]`, `51-["_placeholder",{"_placeholder":true}]`,
	} {
		f.Add([]byte(s), []byte{1, 2, 3})
	}
	parser := jsonParser{10}
	f.Fuzz(func(t *testing.T, text, attachment []byte) {
		p := decodeAll(parser, text, attachment)
		if p == nil {
			return
		}
		for i, a := range p.Args {
			var v any
			if err := a.Decode(&v); err != nil {
				t.Errorf("%q: argument %d: %v", text, i, err)
			}
		}
		e, err := parser.Encode(p)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again := decodeAll(parser, e[0].Data[1:], attachment)
		if again == nil || again.Type != p.Type || again.Namespace != p.Namespace || again.ID != p.ID || len(again.Args) != len(p.Args) {
			t.Fatalf("%q encodes as %q", text, e[0].Data)
		}
		if f, err := parser.Encode(again); err != nil || !reflect.DeepEqual(e, f) {
			t.Errorf("%q encodes as %v, and that as %v (%v)", text, e, f, err)
		}
		if d, ok := decodeData(encoded(e).data()); !ok || !sameFrames(d, e) {
			t.Errorf("data of %v comes back as %v, %v", e, d, ok)
		}
	})
}

// decodeAll returns a packet of a text and as many attachments as it asks for,
// or nil if it is refused.
func decodeAll(parser Parser, text, attachment []byte) *Packet {
	d := parser.NewDecoder()
	p, err := d.Decode(false, text)
	for range 11 {
		if p != nil || err != nil {
			break
		}
		p, err = d.Decode(true, attachment)
	}
	if err != nil {
		return nil
	}
	return p
}

func sameFrames(a, b []transport.Frame) bool {
	return slices.EqualFunc(a, b, func(a, b transport.Frame) bool {
		return a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
	})
}

func FuzzDecodeData(f *testing.F) {
	f.Add(encoded{{Data: []byte(`42["a"]`)}}.data())
	f.Add(encoded{{Data: []byte(`451-["a"]`)}, {Binary: true, Data: []byte{1}}, {Binary: true}}.data())
	f.Add(encoded{{Binary: true, Data: []byte{0x81}}}.data())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := decodeData(b)
		if ok {
			e.frames()
			if again, ok := decodeData(e.data()); !ok || !sameFrames(again, e) {
				t.Errorf("%q does not come back", b)
			}
		}
	})
}
