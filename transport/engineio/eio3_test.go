package engineio_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// newRig3 is newRig for clients of protocol 3.
func newRig3(t *testing.T, opts engineio.Options, pipes bool) *rig {
	t.Helper()
	opts.AllowEIO3 = true
	r := newRig(t, opts, pipes)
	r.url = strings.Replace(r.url, "EIO=4", "EIO=3", 1)
	return r
}

// poll3 opens a session by polling.
func (r *rig) poll3(query string) (string, *peer) {
	r.t.Helper()
	a := r.get("&transport=polling" + query)
	_, packet, ok := strings.Cut(a.body, ":")
	if a.status != 200 || !ok {
		r.t.Fatalf("handshake answered %d %q", a.status, a.body)
	}
	return "&transport=polling" + query + "&sid=" + r.sid(packet), r.peer()
}

func TestEIO3Handshake(t *testing.T) {
	r := newRig3(t, beats, false)
	a := r.get("&transport=polling")
	length, packet, _ := strings.Cut(a.body, ":")
	var got map[string]any
	if err := json.Unmarshal([]byte(packet[1:]), &got); err != nil || packet[0] != '0' || length != jsonLen(packet) {
		t.Fatalf("answered %q (%v)", a.body, err)
	}
	if len(got) != 5 || got["pingInterval"] != 10000.0 || got["pingTimeout"] != 4000.0 || got["maxPayload"] != 1e6 || got["upgrades"].([]any)[0] != "websocket" {
		t.Errorf("open packet %v", got)
	}
	if p := r.peer(); p.Protocol() != 3 {
		t.Errorf("Protocol() = %d", p.Protocol())
	}
	// Protocol 3 is what a client without EIO speaks.
	r.want(answer{status: r.get("?transport=polling").status}, 200, "")
	if p := r.peer(); p.Protocol() != 3 {
		t.Errorf("Protocol() = %d without EIO", p.Protocol())
	}
	r.sid(r.get("?EIO=4&transport=polling").body)
	if p := r.peer(); p.Protocol() != 4 {
		t.Errorf("Protocol() = %d with EIO=4", p.Protocol())
	}
	for _, v := range []string{"2", "5", "abc", "03"} {
		r.want(r.get("?transport=polling&EIO="+v), 400, `{"code":5,"message":"Unsupported protocol version"}`)
	}
}

func jsonLen(s string) string {
	b, _ := json.Marshal(len(s))
	return string(b)
}

func TestEIO3Polling(t *testing.T) {
	r := newRig3(t, engineio.Options{}, false)
	const octets = "application/octet-stream"
	t.Run("text and binary, both ways", func(t *testing.T) {
		q, _ := r.poll3("")
		r.want(r.must("POST", q, "4:4h😀2:4b"), 200, "ok")
		a := r.get(q)
		r.want(a, 200, "4:4h😀2:4b")
		if got := a.header.Get("Content-Type"); got != "text/plain; charset=UTF-8" {
			t.Errorf("text is %q", got)
		}
		r.want(r.must("POST", q, "\x01\x04\xff\x04\x01\x02\x03", "Content-Type", octets), 200, "ok")
		a = r.get(q)
		r.want(a, 200, "\x01\x04\xff\x04\x01\x02\x03")
		if got := a.header.Get("Content-Type"); got != octets {
			t.Errorf("binary is %q", got)
		}
	})
	t.Run("b64", func(t *testing.T) {
		q, _ := r.poll3("&b64=1")
		r.want(r.must("POST", q, "6:b4AQI=2:4a"), 200, "ok")
		r.want(r.get(q), 200, "6:b4AQI=2:4a")
	})
	t.Run("JSONP", func(t *testing.T) {
		a := r.get("&transport=polling&j=12x")
		call, ok := strings.CutPrefix(a.body, "___eio[12](")
		var payload string
		if err := json.Unmarshal([]byte(strings.TrimSuffix(call, ");")), &payload); !ok || err != nil {
			t.Fatalf("answered %q (%v)", a.body, err)
		}
		_, packet, _ := strings.Cut(payload, ":")
		q := "&transport=polling&j=12x&sid=" + r.sid(packet)
		r.peer()
		r.want(r.must("POST", q, "d="+url.QueryEscape(`4:4a\nb`), "Content-Type", "application/x-www-form-urlencoded"), 200, "ok")
		r.want(r.get(q), 200, `___eio[12]("4:4a\nb");`)
	})
	t.Run("a client that closes", func(t *testing.T) {
		q, p := r.poll3("")
		poll := r.waiting(p, q)
		r.want(r.must("POST", q, "1:1"), 200, "ok")
		r.want(recv(t, poll), 200, "1:6")
		p.want(t, engineio.ReasonTransportClose)
	})
	t.Run("a server that closes", func(t *testing.T) {
		q, p := r.poll3("")
		poll := r.waiting(p, q)
		p.Close()
		r.want(recv(t, poll), 200, "1:1")
		p.want(t, engineio.ReasonForcedClose)
	})
	for _, body := range []string{"", "abc", "4a", "2:9a"} {
		t.Run("parse error "+body, func(t *testing.T) {
			q, p := r.poll3("")
			r.want(r.must("POST", q, body), 400, "")
			p.want(t, engineio.ReasonParseError)
		})
	}
	t.Run("protocol mismatch", func(t *testing.T) {
		q, _ := r.poll3("")
		r.want(r.get("?EIO=4"+q), 400, mismatch)
		r.want(r.must("POST", q, "2:4a"), 200, "ok")
	})
}

func TestEIO3WebSocket(t *testing.T) {
	r := newRig3(t, engineio.Options{}, false)
	for query, test := range map[string]struct {
		kind websocket.MessageType
		data string
	}{
		"":       {websocket.MessageBinary, "\x04\x01\x02"},
		"&b64=1": {websocket.MessageText, "b4AQI="},
	} {
		c := r.ws("&transport=websocket" + query)
		r.sid(c.read())
		p := r.peer()
		if p.Protocol() != 3 {
			t.Errorf("Protocol() = %d", p.Protocol())
		}
		c.write("4x")
		c.want("4x")
		if err := c.Write(t.Context(), test.kind, []byte(test.data)); err != nil {
			t.Fatal(err)
		}
		kind, data, err := c.Read(t.Context())
		if kind != test.kind || string(data) != test.data || err != nil {
			t.Errorf("received %v %q (%v)", kind, data, err)
		}
		c.write("2")
		c.want("3")
		if err := c.Write(t.Context(), websocket.MessageBinary, []byte{9}); err != nil {
			t.Fatal(err)
		}
		p.want(t, engineio.ReasonParseError)
	}
}

// Clients of protocol 4 may ask for base64 as well.
func TestBase64WebSocket(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	c := r.ws("&transport=websocket&b64=1")
	r.sid(c.read())
	c.write("bAQI=")
	kind, data, err := c.Read(t.Context())
	if kind != websocket.MessageText || string(data) != "bAQI=" || err != nil {
		t.Errorf("received %v %q (%v)", kind, data, err)
	}
}

func TestEIO3Upgrade(t *testing.T) {
	r := newRig3(t, engineio.Options{}, false)
	q, p := r.poll3("")
	poll := r.waiting(p, q)
	c := r.candidate(q)
	c.write("2probe")
	c.want("3probe")
	r.want(recv(t, poll), 200, "1:6")
	bin := transport.NewFrames(transport.Frame{Data: []byte("4a")}, transport.Frame{Binary: true, Data: []byte("b")})
	if err := p.Send(bin); err != nil {
		t.Fatal(err)
	}
	c.write("5")
	c.want("4a")
	c.want("\x04b")
	c.write("2")
	c.want("3")
	r.want(r.get(q), 400, mismatch)
	c.Close(websocket.StatusNormalClosure, "")
	p.want(t, engineio.ReasonTransportClose)
}

// In protocol 3 the client pings: it is dead after interval and timeout.
func TestEIO3Heartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := beats
		n := 0
		opts.Hooks.Heartbeat = func() { n++ }
		r := newRig3(t, opts, true)
		c, p := r.session()
		start := time.Now()
		for range 3 {
			time.Sleep(13 * time.Second)
			c.write("2")
			c.want("3")
		}
		time.Sleep(5 * time.Second)
		c.write("4x") // is no ping
		c.want("4x")
		p.want(t, engineio.ReasonPingTimeout)
		wantAt(t, start, 53*time.Second, "ping timeout")
		if n != 3 {
			t.Errorf("%d heartbeats, want 3", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig3(t, beats, true)
		q, p := r.poll3("")
		start := time.Now()
		time.Sleep(10 * time.Second)
		r.want(r.must("POST", q, "1:2"), 200, "ok")
		r.want(r.get(q), 200, "1:3")
		p.want(t, engineio.ReasonPingTimeout)
		wantAt(t, start, 24*time.Second, "ping timeout")
	})
	r := newRig3(t, engineio.Options{}, false)
	c, p := r.session()
	c.write("3")
	p.want(t, engineio.ReasonTransportError)
}

// One Frames goes to sessions of both protocols, by both transports.
func TestSharedByProtocols(t *testing.T) {
	r := newRig3(t, engineio.Options{}, false)
	q3, p3 := r.poll3("")
	c3, s3 := r.session()
	r.url = strings.Replace(r.url, "EIO=3", "EIO=4", 1)
	q4, p4 := r.poll()
	c4, s4 := r.session()
	f := transport.NewFrames(transport.Frame{Data: []byte("451-é")}, transport.Frame{Binary: true, Data: []byte{1, 2}})
	for _, p := range []*peer{p3, s3, p4, s4} {
		go p.Send(f)
	}
	c3.want("451-é")
	c3.want("\x04\x01\x02")
	c4.want("451-é")
	c4.want("\x01\x02")
	r.want(r.get("?EIO=3"+q3), 200, "\x00\x06\xff451-é\x01\x03\xff\x04\x01\x02")
	r.want(r.get(q4), 200, "451-é\x1ebAQI=")
}
