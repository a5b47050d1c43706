package socketio

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestDecodePacket(t *testing.T) {
	tests := []struct {
		name, in string
		want     packet
		bad      bool
	}{
		{name: "connect", in: `0`, want: packet{typ: typeConnect, namespace: "/", id: noID}},
		{name: "connect with auth", in: `0{"token":"x"}`, want: packet{typ: typeConnect, namespace: "/", id: noID, payload: []byte(`{"token":"x"}`)}},
		{name: "connect to a namespace", in: `0/admin,{"a":1}`, want: packet{typ: typeConnect, namespace: "/admin", id: noID, payload: []byte(`{"a":1}`)}},
		{name: "namespace without a comma", in: `1/admin`, want: packet{typ: typeDisconnect, namespace: "/admin", id: noID}},
		{name: "event", in: `2["hello",1]`, want: packet{typ: typeEvent, namespace: "/", id: noID, payload: []byte(`["hello",1]`)}},
		{name: "event that wants an ack", in: `2/admin,456["x"]`, want: packet{typ: typeEvent, namespace: "/admin", id: 456, payload: []byte(`["x"]`)}},
		{name: "event without payload is tolerated", in: `2`, want: packet{typ: typeEvent, namespace: "/", id: noID}},
		{name: "ack", in: `30[]`, want: packet{typ: typeAck, namespace: "/", id: 0, payload: []byte(`[]`)}},
		{name: "binary event", in: `51-["x",{"_placeholder":true,"num":0}]`, want: packet{typ: typeBinaryEvent, namespace: "/", id: noID, attachments: 1, payload: []byte(`["x",{"_placeholder":true,"num":0}]`)}},
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
			items = append(items, string(r.json))
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
	f.Fuzz(func(t *testing.T, text, attachment []byte) {
		p, err := decodePacket(text, 10)
		if err != nil {
			return
		}
		if p.typ != typeEvent && p.typ != typeBinaryEvent || len(p.payload) == 0 {
			return
		}
		args := Args(splitArray(p.payload))
		attachments := make([][]byte, p.attachments)
		for i := range attachments {
			attachments[i] = attachment
		}
		if attach(args, attachments) != nil {
			return
		}
		anys := make([]any, len(args))
		for i, a := range args {
			anys[i] = a
			var v any
			if err := a.Decode(&v); err != nil {
				t.Errorf("%q: argument %d: %v", text, i, err)
			}
		}
		e, err := encodeArray(typeEvent, p.namespace, p.id, nil, anys)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := decodePacket(e.text[1:], len(e.attachments)+1)
		if err != nil {
			t.Fatalf("%q encodes as %q: %v", text, e.text, err)
		}
		if again.namespace != p.namespace || again.id != p.id || again.attachments != len(e.attachments) {
			t.Errorf("%q encodes as %q", text, e.text)
		}
		if d, ok := decodeData(e.data()); !ok || !bytes.Equal(d.text, e.text) || len(d.attachments) != len(e.attachments) {
			t.Errorf("data of %q comes back as %q, %v", e.text, d.text, ok)
		}
	})
}

func FuzzDecodeData(f *testing.F) {
	f.Add(encoded{text: []byte(`42["a"]`)}.data())
	f.Add(encoded{text: []byte(`451-["a"]`), attachments: [][]byte{{1}, nil}}.data())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := decodeData(b)
		if ok {
			e.frames()
			if again, ok := decodeData(e.data()); !ok || !bytes.Equal(again.text, e.text) {
				t.Errorf("%q does not come back", b)
			}
		}
	})
}
