package socketio

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

// The files of testdata/parser hold what Node's parsers make of inputs and of
// values; generate.mjs beside them wrote them.

type nodeFrame struct {
	T *string `json:"t"`
	B []byte  `json:"b"`
}

type nodePacket struct {
	Type PacketType `json:"type"`
	NSP  string     `json:"nsp"`
	ID   *float64   `json:"id"`
	Data any        `json:"data"`
}

// A verdict is a packet, an error, or neither if there is more to come.
type verdict struct {
	Packet *nodePacket `json:"packet"`
	Error  string      `json:"error"`
}

func (v verdict) String() string {
	if v.Packet == nil {
		return "error: " + v.Error
	}
	text, _ := json.Marshal(v.Packet)
	return string(text)
}

func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/parser/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// judge returns what a server of ours makes of a client's frames.
func judge(t *testing.T, parser Parser, frames []nodeFrame) (v verdict) {
	t.Helper()
	d := parser.NewDecoder()
	for _, f := range frames {
		data := f.B
		if f.T != nil {
			data = []byte(*f.T)
		}
		p, err := d.Decode(f.T == nil, data)
		if err == nil && p != nil && p.Type == TypeEvent && p.Args != nil {
			_, err = eventName(p.Args)
		}
		if err != nil {
			return verdict{Error: err.Error()}
		}
		if p != nil {
			v.Packet = normal(t, p)
		}
	}
	return v
}

// normal is what generate.mjs calls so.
func normal(t *testing.T, p *Packet) *nodePacket {
	t.Helper()
	n := &nodePacket{Type: p.Type, NSP: p.Namespace}
	if p.ID != NoID {
		id := float64(p.ID)
		n.ID = &id
	}
	values := make([]any, len(p.Args))
	for i, r := range p.Args {
		values[i] = normalValue(t, r)
	}
	switch {
	case p.Args == nil:
	case p.Type == TypeEvent || p.Type == TypeAck:
		n.Data = values
	default:
		n.Data = values[0]
	}
	return n
}

func normalValue(t *testing.T, r Raw) (v any) {
	t.Helper()
	text, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return walk(v)
}

// walk puts Node's and our values in one form.
func walk(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return nil // Infinity, which JSON.stringify writes so
		}
		return f
	case string:
		text, _ := json.Marshal(v)
		if data, ok := BinaryIn(text); ok {
			text, _ = json.Marshal(data)
			return map[string]any{"$binary": strings.Trim(string(text), `"`)}
		}
	case []any:
		for i := range v {
			v[i] = walk(v[i])
		}
	case map[string]any:
		if v["$undefined"] == true {
			return nil
		}
		for k := range v {
			v[k] = walk(v[k])
		}
	}
	return v
}

// differences are the inputs of which we say otherwise than Node, with a
// reason for those of each. Where no packet of ours is given, we refuse.
var differences = []struct {
	reason string
	inputs map[string]string
}{
	{
		"JavaScript's Number(\"\") and Number(\" \") are 0: Node takes no text for a CONNECT, and white space for the ack id 0. No encoder writes either; we skip white space before JSON, and refuse what is not a packet",
		map[string]string{
			"": "", " 2": "", "2 ": "", "2\n": "", "2 1[\"a\"]": "", "3\ufeff[]": "", "3\u00a0[]": "", "30\u00a0[]": "", "3/n,7\u00a0[]": "", "30\ufeff[]": "", "3/n,7\ufeff[]": "",
			"2 [\"a\"]": `2 / ["a"]`, "2\t[\"a\"]\n": `2 / ["a"]`, "3 [\"a\"]": `3 / ["a"]`, "3\t[\"a\"]\n": `3 / ["a"]`, "3 []": `3 / []`,
			"2/n, [\"a\"]": `2 /n ["a"]`, "2/n,\t[\"a\"]\n": `2 /n ["a"]`, "2/n?x=1, [\"a\"]": `2 /n?x=1 ["a"]`, "2/n?x=1,\t[\"a\"]\n": `2 /n?x=1 ["a"]`,
			"2/, [\"a\"]": `2 / ["a"]`, "2/,\t[\"a\"]\n": `2 / ["a"]`, "2//, [\"a\"]": `2 // ["a"]`, "2//,\t[\"a\"]\n": `2 // ["a"]`,
		},
	},
	{
		"ack ids that JavaScript's numbers don't hold would be answered as another id",
		map[string]string{`29007199254740992["a"]`: "", `299999999999999999999["a"]`: ""},
	},
	{
		"the number of attachments is decimal digits, not all that JavaScript calls a number",
		map[string]string{`5 1-["a"]`: "", `51.0-["a"]`: "", `51e0-["a"]`: "", `50x1-["a"]`: "", `5+1-["a"]`: ""},
	},
	{
		"the name of an event with attachments is looked at when they are here, and refused then",
		map[string]string{`51-[]`: "incomplete", `51-["connect"]`: "incomplete"},
	},
	{
		"a placeholder is what encoders write, and stands for an attachment of its own: anything else is an attack on those who get it next",
		map[string]string{
			`51-["a",{"_placeholder":1,"num":0}] <010203>`:                                  "",
			`51-["a",{"_placeholder":true,"num":0.5}] <010203>`:                             "",
			`51-["a",{"_placeholder":true,"num":0e0}] <010203>`:                             "",
			`51-["a",{"\u005fplaceholder":true,"num":0}] <010203>`:                          "",
			`51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}] <010203>`: "",
		},
	},
	{
		"a map of MessagePack has strings for keys, or integers, which are the same to JavaScript",
		map[string]string{"83a47479706502a36e7370a12fa46461746192a16181c2c3": ""},
	},
}

// compare holds our verdict of an input against Node's.
func compare(t *testing.T, input string, got, node verdict) {
	t.Helper()
	if node.Packet != nil {
		node.Packet.Data = walk(node.Packet.Data)
	}
	for _, d := range differences {
		want, ok := d.inputs[input]
		if !ok {
			continue
		}
		ours := ""
		switch {
		case got.Packet != nil:
			data, _ := json.Marshal(got.Packet.Data)
			ours = fmt.Sprintf("%d %s %s", got.Packet.Type, got.Packet.NSP, data)
		case got.Error == "":
			ours = "incomplete"
		}
		if ours != want || reflect.DeepEqual(got, node) {
			t.Errorf("%q: got %q, want %q, other than Node's %v", input, ours, want, node)
		}
		return
	}
	if (got.Error == "") != (node.Error == "") || !reflect.DeepEqual(got.Packet, node.Packet) {
		t.Errorf("%q:\nours %v\nnode %v", input, got, node)
	}
}

func TestNodeDecode(t *testing.T) {
	var vectors struct {
		Decode []struct {
			Text   *string     `json:"text"`
			Frames []nodeFrame `json:"frames"`
			verdict
		} `json:"decode"`
	}
	readVectors(t, "json.json", &vectors)
	for _, v := range vectors.Decode {
		frames := v.Frames
		name := frameNames(frames)
		if v.Text != nil {
			frames = []nodeFrame{{T: v.Text}}
			name = *v.Text
		}
		compare(t, name, judge(t, jsonParser{10}, frames), v.verdict)
	}
}

func TestNodeMessagePackDecode(t *testing.T) {
	var vectors struct {
		Decode []struct {
			Hex string `json:"hex"`
			verdict
		} `json:"decode"`
	}
	readVectors(t, "msgpack.json", &vectors)
	for _, v := range vectors.Decode {
		frame, _ := hex.DecodeString(v.Hex)
		compare(t, v.Hex, judge(t, MessagePack(), []nodeFrame{{B: frame}}), v.verdict)
	}
}

// What Node writes we read, and what we write of it says the same: passed on as
// it is, and by way of Go values, in both forms.
func TestNodeEncode(t *testing.T) {
	var vectors struct {
		Encode []struct {
			Frames []nodeFrame
			Packet *nodePacket
		}
	}
	readVectors(t, "json.json", &vectors)
	for _, v := range vectors.Encode {
		v.Packet.Data = walk(v.Packet.Data)
		testEncode(t, jsonParser{10}, v.Frames, v.Packet)
	}
}

func TestNodeMessagePackEncode(t *testing.T) {
	var vectors struct {
		Encode []struct {
			Notepack string
			B        []byte
			Packet   *nodePacket
		}
	}
	readVectors(t, "msgpack.json", &vectors)
	for _, v := range vectors.Encode {
		v.Packet.Data = walk(v.Packet.Data)
		testEncode(t, MessagePack(), []nodeFrame{{B: v.B}}, v.Packet)
	}
}

func testEncode(t *testing.T, parser Parser, frames []nodeFrame, want *nodePacket) {
	t.Helper()
	got := judge(t, parser, frames)
	if !reflect.DeepEqual(got.Packet, want) {
		t.Errorf("%s:\nours %v\nnode %v", frameNames(frames), got, verdict{Packet: want})
		return
	}
	d := parser.NewDecoder()
	var p *Packet
	for _, f := range frames {
		data := f.B
		if f.T != nil {
			data = []byte(*f.T)
		}
		p, _ = d.Decode(f.T == nil, data)
	}
	e, err := parser.Encode(p)
	if err != nil {
		t.Errorf("%v: %v", got, err)
		return
	}
	if again := judge(t, parser, fromServer(e)); !reflect.DeepEqual(again.Packet, want) {
		t.Errorf("passed on: got %v, want %v", again, got)
	}
	for i, r := range p.Args {
		var v any
		if err := r.Decode(&v); err != nil {
			t.Errorf("%v: %v", got, err)
			return
		}
		if p.Args[i], err = rawOf(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, parser := range []Parser{jsonParser{100}, MessagePack()} {
		e, err := parser.Encode(p)
		if err != nil {
			t.Errorf("%v: %v", got, err)
			return
		}
		if again := judge(t, parser, fromServer(e)); !reflect.DeepEqual(again.Packet, want) {
			t.Errorf("%T by Go values: got %v, want %v", parser, again, got)
		}
	}
}

func frameNames(frames []nodeFrame) string {
	var names []string
	for _, f := range frames {
		if f.T != nil {
			names = append(names, *f.T)
		} else {
			names = append(names, fmt.Sprintf("<%x>", f.B))
		}
	}
	return strings.Join(names, " ")
}

// fromServer returns frames of ours as a client's.
func fromServer(e []transport.Frame) (frames []nodeFrame) {
	for _, f := range e {
		if f.Binary {
			frames = append(frames, nodeFrame{B: f.Data})
			continue
		}
		text := string(f.Data[1:])
		frames = append(frames, nodeFrame{T: &text})
	}
	return frames
}
