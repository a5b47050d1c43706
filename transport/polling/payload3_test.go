package polling_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/transporttest"
)

func collect(frames iter.Seq2[transport.Frame, error]) (all []transport.Frame, err error) {
	for f, err := range frames {
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
	return all, nil
}

func TestPayload3(t *testing.T) {
	for _, test := range []struct {
		in      string
		records bool
		want    string // frames, "refused" last if the rest is
	}{
		{"2:4a", false, "4a"},
		{"6:4hé€😀10:b4AQIDBA==1:3", false, "4hé€😀|b\x01\x02\x03\x04|3"},
		{"0:2:4a", false, "4a"},
		{"6:2probe", false, "2probe"},
		{"", false, "refused"},
		{"4a", false, "refused"},
		{":4a", false, "refused"},
		{"2:4", false, "refused"},
		{"3:4😀2:4a", false, "4😀|4a"},
		{"2:4😀", false, "refused"}, // within the character
		{"2:4a3", false, "4a|refused"},
		{"2:4a1e1:4", false, "4a|refused"},
		{"-1:4", false, "refused"},
		{"99999999999:4", false, "refused"},
		{"0000000000000002:4a", false, "refused"},
		{"2:4\xff", false, "refused"},
		{"4:b5AA", false, "refused"},
		{"\x00\x01\x01\xff4h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x01\x05\xff\x04\x01\x02\x03\x04\x00\x01\xff3", true, "4hé€😀|b\x01\x02\x03\x04|3"},
		{"\x00\x04\xffb4AA", true, "b\x00"},
		{"", true, "refused"},
		{"\x02\x01\xff4", true, "refused"},
		{"\x00\xff", true, "refused"},
		{"\x00\x02\xff4", true, "refused"},
		{"\x00\x0a\xff4", true, "refused"},
		{"\x00\x01", true, "refused"},
		{"\x00" + strings.Repeat("\x09", 400) + "\xff4", true, "refused"},
		{"\x00\x02\xff4\xff", true, "refused"},
		{"\x01\x01\xff\x02", true, "refused"},
	} {
		walk := polling.Frames3Of
		if test.records {
			walk = polling.Records3Of
		}
		all, err := collect(walk([]byte(test.in)))
		var got []string
		for _, f := range all {
			kind := ""
			if f.Binary {
				kind = "b"
			}
			got = append(got, kind+string(f.Data))
		}
		if err != nil {
			got = append(got, "refused")
			if !errors.Is(err, polling.ErrPayload) {
				t.Errorf("%q is refused with %v", test.in, err)
			}
		}
		if s := strings.Join(got, "|"); s != test.want {
			t.Errorf("%q (records: %t) holds %q, want %q", test.in, test.records, s, test.want)
		}
	}
}

// FuzzPayload3 is FuzzPayload for the payloads of protocol 3.
func FuzzPayload3(f *testing.F) {
	for _, in := range []string{"2:4a", "6:4hé€😀10:b4AQIDBA==1:3", "0:", "2:4", "1e1:4", "99999999999:4"} {
		f.Add([]byte(in), false)
	}
	for _, in := range []string{"\x00\x01\xff3", "\x01\x05\xff\x04\x01\x02\x03\x04\x00\x01\xff3", "\x00\x09\x09", "\x02"} {
		f.Add([]byte(in), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, records bool) {
		walk := polling.Frames3Of
		if records {
			walk = polling.Records3Of
		}
		once, err := collect(walk(bytes.Clone(in)))
		if err != nil || len(once) == 0 {
			return
		}
		var runs []*transport.Frames
		for _, f := range once {
			runs = append(runs, transport.NewFrames(f))
		}
		out := polling.Join3(runs, records)
		twice, err := collect(walk(out))
		if err != nil || fmt.Sprint(once) != fmt.Sprint(twice) {
			t.Errorf("%q is encoded as %q, which holds %v (%v), want %v", in, out, twice, err, once)
		}
	})
}

func BenchmarkFrames3(b *testing.B) {
	in := bytes.Repeat([]byte("39:42[\"message\",{\"text\":\"hello, world\"}]."), 100)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range polling.Frames3Of(in) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestForm(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`4:4a\nb`, "4:4a\nb"},
		{`5:4a\\nb`, `5:4a\nb`},
		{`4a\\\nb\tc\\`, `4a\\nb\tc\\`},
		{"4é 😀&=+%", "4é 😀&=+%"},
	} {
		got, err := polling.Form([]byte("x=1&d=" + url.QueryEscape(test.in)))
		if err != nil || string(got) != test.want {
			t.Errorf("%q is %q (%v), want %q", test.in, got, err, test.want)
		}
	}
	for _, in := range []string{"", "x=1", "d=%", "d=a;b"} {
		if got, err := polling.Form([]byte(in)); !errors.Is(err, polling.ErrPayload) {
			t.Errorf("%q is %q (%v)", in, got, err)
		}
	}
}

// FuzzForm: a form is refused or read, and never more than what it holds.
func FuzzForm(f *testing.F) {
	for _, in := range []string{"d=2%3A4a", `d=4a\\n\n`, "d=%", "x=1&d=", "d=a&d=b"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := polling.Form(in)
		if err != nil && !errors.Is(err, polling.ErrPayload) || len(out) > len(in) {
			t.Errorf("%q is %q (%v)", in, out, err)
		}
	})
}

// speak3 opens a Conn of protocol 3 and its client.
func speak3(t *testing.T, d transport.Dialect, callback string) (*polling.Conn, *transporttest.Recorder, *client) {
	t.Helper()
	rec := transporttest.NewRecorder(t)
	conn, c := openAs(t, polling.Options{}, rec, func(c *polling.Conn) { c.Speak(d, callback) })
	return conn, rec, c
}

func TestConn3(t *testing.T) {
	mixed := []*transport.Frames{
		transport.Text("4é"),
		transport.NewFrames(transport.Frame{Binary: true, Data: []byte{1, 2}}),
	}
	const text = "text/plain; charset=UTF-8"
	for _, test := range []struct {
		name     string
		dialect  transport.Dialect
		callback string
		send     []*transport.Frames
		body     string
		kind     string
	}{
		{"text", transport.V3, "", mixed[:1], "2:4é", text},
		{"binary", transport.V3, "", mixed, "\x00\x03\xff4é\x01\x03\xff\x04\x01\x02", "application/octet-stream"},
		{"base64", transport.V3Text, "", mixed, "2:4é6:b4AQI=", text},
		{"JSONP", transport.V3Text, "___eio[7]", append(mixed, transport.Text("4\u2028</script>\n")), `___eio[7]("2:4é6:b4AQI=12:4\u2028\u003c/script\u003e\n");`, text},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, rec, c := speak3(t, test.dialect, test.callback)
			for _, f := range test.send {
				if err := conn.Send(f); err != nil {
					t.Fatal(err)
				}
			}
			h, body, err := c.do("GET", "")
			if err != nil || body != test.body || h.Get("Content-Type") != test.kind {
				t.Errorf("poll: %q %q (%v), want %q %q", h.Get("Content-Type"), body, err, test.kind, test.body)
			}
			if test.callback != "" {
				if _, body, err = c.do("POST", "d="+url.QueryEscape("2:4é6:b4AQI=")); err != nil || body != "ok" {
					t.Errorf("POST: %q (%v)", body, err)
				}
			} else {
				if _, body, err = c.do("POST", "2:4é6:b4AQI="); err != nil || body != "ok" {
					t.Errorf("POST: %q (%v)", body, err)
				}
			}
			if f := rec.Next(); f.Binary || string(f.Data) != "4é" {
				t.Errorf("received %v", f)
			}
			if f := rec.Next(); !f.Binary || string(f.Data) != "\x01\x02" {
				t.Errorf("received %v", f)
			}
			if _, body, err = c.do("POST", "\x01\x03\xff\x04\x01\x02", "Content-Type", "application/octet-stream"); err != nil || body != "ok" {
				t.Errorf("POST of records: %q (%v)", body, err)
			}
			if f := rec.Next(); !f.Binary || string(f.Data) != "\x01\x02" {
				t.Errorf("received %v", f)
			}
			conn.Close()
			want := "1:1"
			if test.callback != "" {
				js, _ := json.Marshal(want)
				want = test.callback + "(" + string(js) + ");"
			}
			if _, body, err = c.do("GET", ""); err != nil || body != want {
				t.Errorf("last poll: %q (%v), want %q", body, err, want)
			}
			rec.WantClosed(nil)
		})
	}
}

func TestRefused3(t *testing.T) {
	for _, in := range []string{"", "4a", "2:4"} {
		_, rec, c := speak3(t, transport.V3, "")
		if _, _, err := c.do("POST", in); err != statusError(400) {
			t.Errorf("POST %q: %v", in, err)
		}
		rec.WantClosed(polling.ErrPayload)
	}
	_, rec, c := speak3(t, transport.V3Text, "___eio[0]")
	if _, _, err := c.do("POST", "2:4a"); err != statusError(400) {
		t.Errorf("POST without a form: %v", err)
	}
	rec.WantClosed(polling.ErrPayload)
}

// As in Node, a poll is compressed if one packet of it may be.
func TestNoCompress(t *testing.T) {
	conn, c := open(t, polling.Options{}, transporttest.NewRecorder(t))
	long := "4" + strings.Repeat("a", 3000)
	for _, test := range []struct {
		send []*transport.Frames
		want string
	}{
		{[]*transport.Frames{transport.Text(long)}, "gzip"},
		{[]*transport.Frames{transport.Text(long).NoCompress()}, ""},
		{[]*transport.Frames{transport.Text(long).NoCompress(), transport.Text("4a")}, "gzip"},
	} {
		for _, f := range test.send {
			if err := conn.Send(f); err != nil {
				t.Fatal(err)
			}
		}
		h, _, err := c.do("GET", "", "Accept-Encoding", "gzip")
		if got := h.Get("Content-Encoding"); err != nil || got != test.want {
			t.Errorf("%d packets: encoding %q (%v), want %q", len(test.send), got, err, test.want)
		}
	}
}
