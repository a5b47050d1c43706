package socketio

import "testing"

func FuzzDecodeAnswer(f *testing.F) {
	n := New(Options{}).Of("/")
	f.Add(n.encodeAnswer(nil))
	for _, text := range []string{`{"a":1}`, `null`, `"x"`} {
		r, err := RawJSON([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(n.encodeAnswer(Args{r, {}}))
	}
	f.Add([]byte("\x01\x2d461-[{\"_placeholder\":true,\"num\":0}]\x01x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		args, ok := n.decodeAnswer(in)
		if !ok {
			return
		}
		once := n.encodeAnswer(args)
		again, ok := n.decodeAnswer(once)
		if !ok || len(again) != len(args) {
			t.Errorf("%q encodes as %q, which does not come back", in, once)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	io := New(Options{})
	n := io.Of("/")
	for _, name := range []string{"/", "/a[1"} {
		for _, args := range [][]any{{1, "x"}, {[]byte("x")}} {
			e := Emitter{namespace: io.Of(name)}
			p, err := e.packet("event", args)
			if err != nil {
				f.Fatal(err)
			}
			if o := n.question(p); o == nil {
				f.Errorf("%q is no question", p.Data)
			} else if event, got := o.event(n); event != "event" || len(got) != len(args) {
				f.Errorf("%q decodes as %q %v", p.Data, event, got)
			}
			f.Add(p.Data)
		}
	}
	f.Fuzz(func(_ *testing.T, in []byte) {
		if o := decodeOutgoing(in, false); o != nil {
			o.event(n)
		}
		if e, ok := n.withID(in, 7); ok {
			newOutgoing(e, 7, true).event(n)
		}
	})
}

// Questions and answers pass through other nodes unharmed, in every form.
func TestQuestionsOfParsers(t *testing.T) {
	for name, parser := range map[string]Parser{"json": nil, "msgpack": MessagePack()} {
		t.Run(name, func(t *testing.T) {
			n := New(Options{Parser: parser}).Of("/a[1")
			var many []any
			for i := range 20 { // more than a client may send
				many = append(many, []byte{byte(i)})
			}
			p, err := n.all().packet("event", append(many, map[string]any{"a": Binary("x"), "b": 1}))
			if err != nil {
				t.Fatal(err)
			}
			n.ackID.Store(41)
			o := n.question(p)
			if o == nil || o.id != 41 {
				t.Fatal("no question with id 41")
			}
			event, args := o.event(n)
			if event != "event" || len(args) != 21 {
				t.Fatalf("got %q with %d arguments", event, len(args))
			}
			if k := n.decode(o.frames.Parts()); k == nil || k.ID != 41 || k.Namespace != "/a[1" {
				t.Errorf("got %+v", k)
			}
			answer, ok := n.decodeAnswer(n.encodeAnswer(args))
			var object struct {
				A Binary
				B int
			}
			if !ok || len(answer) != 21 || answer[20].Decode(&object) != nil || string(object.A) != "x" || object.B != 1 {
				t.Errorf("got %d arguments, the last %+v", len(answer), object)
			}
			if answer, ok := n.decodeAnswer(n.encodeAnswer(nil)); !ok || len(answer) != 0 {
				t.Errorf("got %v, %v for nothing", answer, ok)
			}
		})
	}
}
