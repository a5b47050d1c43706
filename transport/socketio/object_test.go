package socketio_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
)

func rawJSON(t testing.TB, text string) socketio.Raw {
	t.Helper()
	r, err := socketio.RawJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// fields is what Fields says, decoded.
func fields(t testing.TB, r socketio.Raw) (map[string]any, bool) {
	t.Helper()
	all := map[string]any{}
	ok := r.Fields(func(key []byte, value socketio.Raw) bool {
		var v any
		if err := value.Decode(&v); err != nil {
			t.Errorf("field %q: %v", key, err)
		}
		all[string(key)] = v
		return true
	})
	return all, ok
}

func TestFields(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":1,"b":-2.5e3}`, "\t{ \"a\" :\n[1 , {\"b\":\"]}\"}] , \"c\" : null }",
		`{"a":"x\"y\\","b":"\\\"","c":{"d":{"e":[]}},"d":[[],[{}]],"e":true}`, `{"":{"":""}}`, `{"ü":"ü\u00fc"}`,
		`{"a":1,"a":2}`, `{"a":"` + strings.Repeat(`\\`, 500) + `"}`,
	} {
		var want map[string]any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := fields(t, rawJSON(t, text)); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v and %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{`null`, `[]`, `"{}"`, `1`, `{"\u0061":1}`, `{"a":1,"\\":2}`} {
		if got, ok := fields(t, rawJSON(t, text)); ok {
			t.Errorf("%s: got %v, and no refusal", text, got)
		}
	}
	if _, ok := fields(t, socketio.Raw{}); ok {
		t.Error("nothing at all: no refusal")
	}
	stopped := rawJSON(t, `{"a":1,"b":2}`).Fields(func([]byte, socketio.Raw) bool { return false })
	if stopped {
		t.Error("true though the function said no")
	}
}

// What is no JSON, as another's Parser may have it, is refused or read, and
// never read past.
func FuzzFields(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"c\""}]}`, `{"a"`, `{"a":"\`, `{"a":}`, `{"a":1,}`, `{"a":]`, `{,`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := map[string]string{}
		ok := socketio.NewRaw(nil, text).Fields(func(key []byte, value socketio.Raw) bool {
			b, err := value.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			got[string(key)] = string(b)
			return true
		})
		if !json.Valid(text) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil || want == nil || strings.Contains(string(text), `\`) {
			return
		}
		if !ok || len(got) < len(want) {
			t.Errorf("%q: got %v and %v, want %q", text, got, ok, want)
		}
		if strings.ToValidUTF8(string(text), "") != string(text) {
			return // encoding/json replaces what is in keys
		}
		for key, value := range want {
			if got[key] != string(value) {
				t.Errorf("%q: %q is %q, want %q", text, key, got[key], value)
			}
		}
	})
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{`"a"`: "a", `""`: "", `"\u00fc\n\""`: "ü\n\"", `"ü"`: "ü"} {
		if got, ok := rawJSON(t, text).Text(); !ok || got != want {
			t.Errorf("%s: got %q and %v", text, got, ok)
		}
	}
	for _, text := range []string{`1`, `null`, `["a"]`, `{"a":"b"}`} {
		if got, ok := rawJSON(t, text).Text(); ok {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

func TestObject(t *testing.T) {
	var o socketio.Object
	if r, err := o.Done(); err != nil || string(marshal(t, r)) != `{}` {
		t.Errorf("empty: %v", err)
	}
	o = socketio.Object{}
	o.String(`na"me`, "a\xffü\n\"</b>")
	o.Int("n", -5)
	o.Raw("raw", rawJSON(t, `[1, {"a":null}]`))
	o.Raw("null", socketio.Raw{})
	r, err := o.Done()
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := r.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		`na"me`: "a\uFFFDü\n\"</b>", "n": -5.0, "null": nil,
		"raw": []any{1.0, map[string]any{"a": nil}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func marshal(t *testing.T, r socketio.Raw) []byte {
	t.Helper()
	b, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
