package socketio

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Values as MessagePack in hexadecimal, and as the JSON that they are to Go.
func TestMessagePackToJSON(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nil", "c0", "null"},
		{"bool", "92c2c3", "[false,true]"},
		{"fixint", "93007fe0", "[0,127,-32]"},
		{"uint", "94ccff" + "cdffff" + "ceffffffff" + "cfffffffffffffffff", "[255,65535,4294967295,18446744073709551615]"},
		{"int", "94d080" + "d18000" + "d280000000" + "d38000000000000000", "[-128,-32768,-2147483648,-9223372036854775808]"},
		{"float32", "ca3fc00000", "1.5"},
		{"float64", "cb3ff8000000000000", "1.5"},
		{"integer as float64", "cb412e848000000000", "1000000"},
		{"small and large", "92cb3e7ad7f29abcaf48" + "cb444b1ae4d6e2ef50", "[1e-07,1e+21]"},
		{"not a number, infinite", "92cb7ff8000000000000" + "caff800000", "[null,null]"},
		{"str", "d90161", `"a"`},
		{"escapes", "a4" + "22" + "5c" + "0a" + "00", `"\u0022\u005c\u000a\u0000"`},
		{"keys that are integers", "8201a161ffa162", `{"1":"a","-1":"b"}`},
		{"undefined of notepack.io 2", "d40000", "null"},
		{"date of notepack.io 2", "d7000000018bcfe568ab", `"2023-11-14T22:13:20.171Z"`},
		{"date before 1970 of notepack.io 2", "d700ffffffffffffffff", `"1969-12-31T23:59:59.999Z"`},
		{"timestamp 32", "d6ff6553f100", `"2023-11-14T22:13:20.000Z"`},
		{"timestamp 64", "d7ff1d5512006553f100", `"2023-11-14T22:13:20.123045Z"`},
		{"timestamp 96", "c70cff075bca00ffffffffffffffff", `"1969-12-31T23:59:59.123456Z"`},
		{"date beyond time.Time", "c70cff000000007fffffffffffffff", "null"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, _ := hex.DecodeString(tt.in)
			got, err := NewRaw(msgpackForm{}, in).MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(tt.name, "timestamp") {
				if string(got) != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				return
			}
			var a, b time.Time
			if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(tt.want), &b) != nil || a.Sub(b).Abs() > time.Millisecond {
				t.Errorf("got %s, want about %s", got, tt.want)
			}
		})
	}
}

func TestJSONToMessagePack(t *testing.T) {
	for in, want := range map[string]string{
		"null": "c0", " [ false , true ] ": "92c2c3", "{}": "80", `{"a":{"b":[]}}`: "81a16181a16290",
		"0": "00", "127": "7f", "128": "cc80", "255": "ccff", "256": "cd0100", "65536": "ce00010000", "4294967296": "cf0000000100000000",
		"18446744073709551615": "cfffffffffffffffff", "18446744073709551616": "cb43f0000000000000",
		"-32": "e0", "-33": "d0df", "-129": "d1ff7f", "-32769": "d2ffff7fff", "-2147483649": "d3ffffffff7fffffff",
		"1.5": "cb3ff8000000000000", "0.1": "cb3fb999999999999a", "1e2": "cb4059000000000000", "1e999": "cb7ff0000000000000",
		`"a"`: "a161", `"\n\u00e9"`: "a30ac3a9", `"é"`: "a2c3a9",
	} {
		got, err := packJSON(nil, []byte(in))
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "[", "[1", "[1 2]", "{1:2}", `{"a"}`, `"a`, `"\`, "nul", "-", "x", strings.Repeat("[", 300) + strings.Repeat("]", 300)} {
		if got, err := packJSON(nil, []byte(in)); err == nil {
			t.Errorf("%s: got %x, want an error", in, got)
		}
	}
}

func TestMessagePackWide(t *testing.T) {
	for _, n := range []int{15, 16, 31, 32, 255, 256, 65535, 65536} {
		m := make(map[string]int)
		for i := range n {
			m[fmt.Sprint(i)] = i
		}
		want := []any{strings.Repeat("x", n), bytes.Repeat([]byte{7}, n), make([]int, n), m}
		var s string
		var b []byte
		var a []int
		var o map[string]int
		if err := Args(receive(t, MessagePack(), want...).Args[1:]).Bind(&s, &b, &a, &o); err != nil {
			t.Fatal(err)
		}
		if got := []any{s, b, a, o}; !reflect.DeepEqual(got, want) {
			t.Errorf("%d: something else came back", n)
		}
	}
}

func TestMessagePackRefuses(t *testing.T) {
	packet := "83a474797065" + "02a36e7370a12fa464617461"
	for name, in := range map[string]string{
		"not all there":        packet + "92a161",
		"more":                 packet + "91a161c0",
		"array of 4G items":    packet + "ddffffffff",
		"map of 4G items":      packet + "92a161dfffffffff",
		"4 GB of text":         packet + "dbffffffff",
		"4 GB of binary":       packet + "92a161c6ffffffff",
		"4 GB of an extension": packet + "92a161c9ffffffff",
		"unknown code":         packet + "92a161c1",
		"too deep":             packet + "92a161" + strings.Repeat("91", maxDepth) + "c0",
		"too deep in keys":     packet + "92a161" + strings.Repeat("81a161", maxDepth) + "c0",
		"a map for a key":      packet + "92a161" + "8180c0",
		"event without a name": packet + "90",
		"binary for a name":    packet + "91c40161",
		"id of a fraction":     "84a474797065" + "02a36e7370a12fa464617461" + "91a161" + "a26964cb3ff8000000000000",
		"id beyond integers":   "84a474797065" + "02a36e7370a12fa464617461" + "91a161" + "a26964cfffffffffffffffff",
		"type beyond":          "82a474797065" + "cfffffffffffffffff" + "a36e7370a12f",
	} {
		data, _ := hex.DecodeString(in)
		p, err := MessagePack().NewDecoder().Decode(true, data)
		if err == nil {
			_, err = eventName(p.Args)
		}
		if !errors.Is(err, errPacket) {
			t.Errorf("%s: got %v, want an error that is errPacket", name, err)
		}
	}
	if _, err := MessagePack().NewDecoder().Decode(false, []byte(`2["a"]`)); !errors.Is(err, errPacket) {
		t.Errorf("text: got %v, want an error that is errPacket", err)
	}
}

// What is not UTF-8 would be an error to the clients that it is passed on to.
func TestMessagePackMendsText(t *testing.T) {
	p, err := MessagePack().NewDecoder().Decode(true, []byte("\x83\xa4type\x02\xa3nsp\xa2/\xff\xa4data\x92\xa1a\x92\xc4\x01\xff\xa3\xed\xa0\x80"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := MessagePack().Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	const bad = "\uFFFD"
	if want := "\x83\xa4type\x02\xa4data\x92\xa1a\x92\xc4\x01\xff\xa3" + bad + "\xa3nsp\xa4/" + bad; string(e[0].Data) != want {
		t.Errorf("got %q, want %q", e[0].Data, want)
	}
}

// A handler's types are the same whatever the Parser is.
func TestValuesOfBothParsers(t *testing.T) {
	type file struct {
		Name  string         `json:"name"`
		Data  Binary         `json:"data"`
		Time  time.Time      `json:"time"`
		Size  int64          `json:"size,string"`
		Ratio float64        `json:"ratio"`
		Tags  []string       `json:"tags"`
		Meta  map[string]any `json:"meta,omitempty"`
		Other *file          `json:"other,omitempty"`
		Any   Raw            `json:"any"`
	}
	text, err := RawJSON([]byte(`{"x":[1,null]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := file{
		Name: "<é\n😀>", Data: Binary{0, 255}, Time: time.Unix(1700000000, 5).UTC(), Size: 1 << 60, Ratio: -0.25,
		Tags: []string{}, Other: &file{Name: "inner", Data: Binary{}, Meta: map[string]any{"a": 1.0, "b": nil}}, Any: text,
	}
	for _, parser := range []Parser{jsonParser{10}, MessagePack()} {
		p := receive(t, parser, want, []byte{1, 2}, "text", nil, want)
		// Passed on, and passed on within something else.
		p = receive(t, parser, p.Args[1], p.Args[2], map[string]any{"in": p.Args[1]})
		var got file
		var data []byte
		var wrapped struct{ In file }
		if err := Args(p.Args[1:]).Bind(&got, &data, &wrapped); err != nil {
			t.Fatalf("%T: %v", parser, err)
		}
		for _, f := range []file{got, wrapped.In} {
			var any string
			if text, err := f.Any.MarshalJSON(); err == nil {
				any = string(text)
			}
			f.Any, f.Other.Any = want.Any, want.Other.Any
			if any != `{"x":[1,null]}` || !reflect.DeepEqual(f, want) {
				t.Errorf("%T: got %+v and %s, want %+v", parser, f, any, want)
			}
		}
		if !bytes.Equal(data, []byte{1, 2}) {
			t.Errorf("%T: got %v", parser, data)
		}
	}
}

func TestBinaryInAny(t *testing.T) {
	in := map[string]any{"a": []any{Binary{1}, "text", 2.0}}
	for _, parser := range []Parser{jsonParser{10}, MessagePack()} {
		p := receive(t, parser, in, []any{Binary{2}}, []byte{3})
		var a, c any
		var m map[string]any
		var l []any
		if err := Args(p.Args[1:]).Bind(&a, &l, &c); err != nil {
			t.Fatal(err)
		}
		if err := p.Args[1].Decode(&m); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, any(in)) || !reflect.DeepEqual(m, in) || !reflect.DeepEqual(l, []any{Binary{2}}) || !reflect.DeepEqual(c, any(Binary{3})) {
			t.Errorf("%T: got %v, %v, %v and %v", parser, a, m, l, c)
		}
	}
}

// What is passed on is not looked into: a Date stays one.
func TestMessagePackPassesOn(t *testing.T) {
	const value = "\x82\xa1d\xd7\x00\x00\x00\x01\x8b\xcf\xe5\x68\xab\xa1u\xd4\x00\x00"
	d := MessagePack().NewDecoder()
	p, err := d.Decode(true, []byte("\x83\xa4type\x02\xa4data\x92\xa1a"+value+"\xa3nsp\xa1/"))
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ D time.Time }
	if err := p.Args[1].Decode(&at); err != nil || at.D.UnixMilli() != 0x18bcfe568ab {
		t.Errorf("got %v, %v", at, err)
	}
	e, err := encodeEvent(MessagePack(), "/", NoID, "b", []any{p.Args[1]})
	if err != nil {
		t.Fatal(err)
	}
	if want := "\x83\xa4type\x02\xa4data\x92\xa1b" + value + "\xa3nsp\xa1/"; string(e[0].Data) != want {
		t.Errorf("got %q, want %q", e[0].Data, want)
	}
	// To a client of the other form it is text.
	if e, err = encodeEvent(jsonParser{10}, "/", NoID, "b", []any{p.Args[1]}); err != nil || string(e[0].Data) != `42["b",{"d":"2023-11-14T22:13:20.171Z","u":null}]` {
		t.Errorf("got %v, %v", e, err)
	}
}

// A client that writes a placeholder of its own reaches no other with it.
func TestForeignPlaceholder(t *testing.T) {
	p, err := jsonParser{10}.NewDecoder().Decode(false, []byte(`2["a",{"x":{},"_placeholder":true,"num":9},{"\u005fplaceholder":true}]`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encodeEvent(jsonParser{10}, "/", NoID, "a", []any{p.Args[1]}); err != nil {
		t.Errorf("without binary: %v", err)
	}
	for _, r := range p.Args[1:] {
		if e, err := encodeEvent(jsonParser{10}, "/", NoID, "a", []any{r, []byte{1}}); !errors.Is(err, errPlaceholder) {
			t.Errorf("with binary: got %v, %v", e, err)
		}
	}
	if _, err := encodeEvent(jsonParser{10}, "/", NoID, "a", []any{`"_placeholder":`, []byte{1}}); err != nil {
		t.Errorf("as text: %v", err)
	}
}

// A frame is refused, or what it says comes back when it is encoded anew.
func FuzzMessagePack(f *testing.F) {
	for _, s := range []string{
		"\x82\xa4type\x00\xa3nsp\xa1/", "\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa5token\xa1x", "\x84\xa4type\x03\xa3nsp\xa2/n\xa2id\x07\xa4data\x90",
		"\x83\xa4type\x02\xa4data\x92\xa1a\x92\xc4\x01\xff\xa3\xed\xa0\x80\xa3nsp\xa1/", "\x83\xa4type\x02\xa4data\x92\xa1a\xd7\x00\x00\x00\x01\x8b\xcf\xe5\x68\xab\xa3nsp\xa1/",
		"\x83\xa4type\x02\xa4data\x93\x01\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x81\xff\xdd\x00\x00\x00\x01\xc7\x01\x05\xc0\xa3nsp\xa1/",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := MessagePack().NewDecoder().Decode(true, in)
		if err != nil {
			if !errors.Is(err, errPacket) {
				t.Errorf("%x: %v is not errPacket", in, err)
			}
			return
		}
		eventName(append(Args{}, p.Args...))
		once, err := MessagePack().Encode(p)
		if err != nil {
			t.Fatalf("%x: %v", in, err)
		}
		q, err := MessagePack().NewDecoder().Decode(true, once[0].Data)
		if err != nil {
			t.Fatalf("%x encodes as %x, and that is %v", in, once[0].Data, err)
		}
		if twice, err := MessagePack().Encode(q); err != nil || !sameFrames(once, twice) {
			t.Errorf("%x encodes as %v, and that as %v (%v)", in, once, twice, err)
		}
		// By way of JSON: no other client can get anything but JSON.
		for i, r := range q.Args {
			text, err := r.MarshalJSON()
			if err != nil || !json.Valid(text) {
				t.Fatalf("%x: argument %d is %q, %v", in, i, text, err)
			}
			var v any
			r.Decode(&v)
			if _, err := packJSON(nil, text); err != nil {
				t.Errorf("%x: argument %d: %v", in, i, err)
			}
		}
	})
}

func FuzzPackJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"\u00e9\n",null,true,{}]}`, `[`, `"\ud800"`, `12345678901234567890`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := packJSON(nil, text)
		if err != nil {
			return
		}
		if _, err := checkMsgpack(b); err != nil {
			t.Fatalf("%q packs as %x: %v", text, b, err)
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			return // only valid JSON gets here but by hand
		}
		again, err := msgpackForm{}.AppendJSON(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := packJSON(nil, again); err != nil || len(c) > len(b) {
			t.Errorf("%q packs as %x, that is %s, and packs as %x (%v)", text, b, again, c, err)
		}
	})
}
