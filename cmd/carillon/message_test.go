package main

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
)

func raw(t testing.TB, text string) socketio.Raw {
	t.Helper()
	r, err := socketio.RawJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// incoming says the same by itself as by encoding/json, errors included.
func TestIncoming(t *testing.T) {
	type reflected incoming
	for _, text := range []string{
		`{"to":"ann","data":{"a":[1, "}"]}}`, `{"room":"r","data":"\"x"}`, `{"data":null}`, `{}`, `null`,
		`{"TO":"ann","Room":"r"}`, `{"to":"a","To":"b"}`, `{"to":"a","to":"b"}`, `{"to":"\u0061"}`, `{"\u0074o":"a"}`,
		`{"to":null,"room":null}`, `{"other":{"to":"x"},"to":"ann"}`, ` { "to" : "ann" , "data" : 1 } `,
		`{"to":1}`, `{"room":["r"]}`, `[]`, `"ann"`, `{"to":"ann","data":{"to":1}}`,
	} {
		var got incoming
		var want reflected
		err, wantErr := raw(t, text).Decode(&got), json.Unmarshal([]byte(text), &want)
		switch {
		case (err == nil) != (wantErr == nil):
			t.Errorf("%s: got error %v, want %v", text, err, wantErr)
		case err != nil && reflect.TypeOf(err) != reflect.TypeOf(wantErr):
			t.Errorf("%s: got error %#v, want %#v", text, err, wantErr)
		case err == nil && !reflect.DeepEqual(reflected(got), want):
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

// outgoing says the same by itself as by encoding/json.
func TestOutgoing(t *testing.T) {
	for _, m := range []outgoing{
		{ID: "1", From: "ann", Data: raw(t, `{"a": [1, "<b>"]}`), At: 5},
		{ID: "1", Room: `"r"`, From: "ä\n", At: -1},
	} {
		r, err := m.MarshalRaw()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := r.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// BenchmarkMessageText is what the text of a message costs from one client to
// the next, by itself and by encoding/json.
func BenchmarkMessageText(b *testing.B) {
	type reflectedIn incoming
	type reflectedOut outgoing
	arg := raw(b, `{"to":"bench-abcdefgh-17","data":"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"}`)
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var in incoming
			if err := arg.Decode(&in); err != nil {
				b.Fatal(err)
			}
			if _, err := newMessage("me", in).MarshalRaw(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reflected", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var in reflectedIn
			if err := arg.Decode(&in); err != nil {
				b.Fatal(err)
			}
			if _, err := json.Marshal(reflectedOut(newMessage("me", incoming(in)))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
