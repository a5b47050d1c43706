package engineio_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/engineio"
)

const upgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func TestRefusals(t *testing.T) {
	r := newRig(t, engineio.Options{
		Allow: func(r *http.Request) error {
			switch r.URL.Query().Get("token") {
			case "bad":
				return errors.New(`no "token"`)
			case "mute":
				return errors.New("")
			}
			return nil
		},
		NewID: func(r *http.Request) (string, error) {
			if r.URL.Query().Get("id") == "fail" {
				return "", errTest
			}
			return "id" + r.URL.Query().Get("id"), nil
		},
		Transports: []string{engineio.Polling, engineio.WebSocket, "webtransport"},
	}, false)
	polled := r.get("&transport=polling&id=polled")
	r.sid(polled.body)
	c := r.ws("&transport=websocket&id=socket")
	r.sid(c.read())

	for _, test := range []struct {
		name   string
		method string
		query  string
		code   string // JSON code and message
		status int    // by polling; an upgrade is always answered with 400
		both   bool   // also as an upgrade request
	}{
		{"transport unknown", "GET", "?EIO=4&transport=abc", `0,"message":"Transport unknown"`, 400, true},
		{"transport missing", "GET", "?EIO=4", `0,"message":"Transport unknown"`, 400, true},
		{"webtransport is unknown", "GET", "?EIO=4&transport=webtransport", `0,"message":"Transport unknown"`, 400, true},
		{"session ID unknown", "GET", "&transport=polling&sid=zzz", `1,"message":"Session ID unknown"`, 400, false},
		{"session ID unknown, POST", "POST", "&transport=polling&sid=zzz", `1,"message":"Session ID unknown"`, 400, false},
		{"session ID unknown, websocket", "GET", "&transport=websocket&sid=zzz", `1,"message":"Session ID unknown"`, 400, true},
		{"bad handshake method", "POST", "&transport=polling", `2,"message":"Bad handshake method"`, 400, false},
		{"bad handshake method PUT", "PUT", "&transport=polling", `2,"message":"Bad handshake method"`, 400, false},
		{"OPTIONS without CORS", "OPTIONS", "&transport=polling", `2,"message":"Bad handshake method"`, 400, false},
		{"TRANSPORT_HANDSHAKE_ERROR", "GET", "&transport=websocket", `3,"message":"Bad request"`, 400, false},
		{"TRANSPORT_MISMATCH, websocket request of a polling session", "GET", "&transport=websocket&sid=idpolled", `3,"message":"Bad request"`, 400, false},
		{"TRANSPORT_MISMATCH, polling request of a websocket session", "GET", "&transport=polling&sid=idsocket", `3,"message":"Bad request"`, 400, false},
		{"PROTOCOL_MISMATCH", "GET", "?EIO=3&transport=polling&sid=idpolled", `3,"message":"Bad request"`, 400, false},
		{"PROTOCOL_MISMATCH, upgrade", "GET", "?EIO=3&transport=websocket&sid=idpolled", `3,"message":"Bad request"`, 400, true},
		{"ID_GENERATION_ERROR", "GET", "&transport=polling&id=fail", `3,"message":"Bad request"`, 400, false},
		{"ID in use", "GET", "&transport=polling&id=polled", `3,"message":"Bad request"`, 400, false},
		{"forbidden with a text", "GET", "&transport=polling&token=bad", `4,"message":"no \"token\""`, 403, false},
		{"forbidden without a text", "GET", "&transport=polling&token=mute", `4,"message":"Forbidden"`, 403, false},
		{"unsupported protocol version 3", "GET", "?EIO=3&transport=polling", `5,"message":"Unsupported protocol version"`, 400, false},
		{"unsupported protocol version abc", "GET", "?EIO=abc&transport=polling", `5,"message":"Unsupported protocol version"`, 400, false},
		{"unsupported protocol version missing", "GET", "?transport=polling", `5,"message":"Unsupported protocol version"`, 400, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := r.must(test.method, test.query, "")
			if want := `{"code":` + test.code + "}"; a.status != test.status || a.body != want {
				t.Errorf("answered %d %s, want %d %s", a.status, a.body, test.status, want)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if test.both {
				_, message, _ := strings.Cut(test.code, `"message":"`)
				wantUpgradeRefused(t, r, test.query, upgradeHeaders, strings.TrimSuffix(message, `"`))
			}
		})
	}

	for _, test := range []struct{ name, query, header, message string }{
		{"EIO is looked at before the 101", "?EIO=3&transport=websocket", upgradeHeaders, "Unsupported protocol version"},
		{"EIO missing", "?transport=websocket", upgradeHeaders, "Unsupported protocol version"},
		{"forbidden", "&transport=websocket&token=bad", upgradeHeaders, `no "token"`},
		{"ID_GENERATION_ERROR", "&transport=websocket&id=fail", upgradeHeaders, "Bad request"},
		{"ID in use", "&transport=websocket&id=polled", upgradeHeaders, "Bad request"},
		{"polling cannot be upgraded itself", "&transport=polling", upgradeHeaders, "Bad request"},
		{"polling cannot be upgraded itself, with sid", "&transport=polling&sid=idpolled", upgradeHeaders, "Bad request"},
		{"WebSocket version", "&transport=websocket&id=v", strings.Replace(upgradeHeaders, "13", "8", 1), "Bad request"},
		{"WebSocket key", "&transport=websocket&id=k", strings.Replace(upgradeHeaders, "dGhl", "", 1), "Bad request"},
		{"WebSocket key of a candidate", "&transport=websocket&sid=idpolled", strings.Replace(upgradeHeaders, "dGhl", "", 1), "Bad request"},
	} {
		t.Run("upgrade: "+test.name, func(t *testing.T) {
			wantUpgradeRefused(t, r, test.query, test.header, test.message)
		})
	}

	if n := r.Sessions(); n != 2 {
		t.Errorf("%d sessions, want the 2 that were opened", n)
	}
	// None of all that has disturbed the sessions.
	r.want(r.must("POST", "&transport=polling&sid=idpolled", "4hi"), 200, "ok")
	r.want(r.get("&transport=polling&sid=idpolled"), 200, "4hi")
	c.write("4hi")
	c.want("4hi")
}

// wantUpgradeRefused speaks HTTP by hand, to see exactly what comes.
func wantUpgradeRefused(t *testing.T, r *rig, query, header, message string) {
	t.Helper()
	if !strings.HasPrefix(query, "?") {
		query = "?EIO=4" + query
	}
	host := strings.Split(r.url, "/")[2]
	conn, err := r.dial(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /engine.io/"+query+" HTTP/1.1\r\nHost: "+host+"\r\n"+header+"\r\n")
	raw, err := io.ReadAll(conn) // to its end: the server closes the connection
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(raw))), nil)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 400 || string(body) != message || !res.Close || res.Header.Get("Content-Type") != "text/html" {
		t.Errorf("answered %q, want 400, Connection: close, text/html, %q", raw, message)
	}
}

func TestOnlySomeTransports(t *testing.T) {
	t.Run("polling alone", func(t *testing.T) {
		r := newRig(t, engineio.Options{Transports: []string{engineio.Polling}}, false)
		a := r.get("&transport=polling")
		r.sid(a.body)
		if !strings.Contains(a.body, `"upgrades":[]`) {
			t.Errorf("%s advertises upgrades", a.body)
		}
		wantUpgradeRefused(t, r, "&transport=websocket", upgradeHeaders, "Transport unknown")
	})
	t.Run("websocket alone", func(t *testing.T) {
		r := newRig(t, engineio.Options{Transports: []string{engineio.WebSocket}}, false)
		r.want(r.get("&transport=polling"), 400, `{"code":0,"message":"Transport unknown"}`)
		r.session()
	})
	t.Run("upgrades disabled", func(t *testing.T) {
		r := newRig(t, engineio.Options{DisableUpgrades: true}, false)
		a := r.get("&transport=polling")
		if !strings.Contains(a.body, `"upgrades":[]`) {
			t.Errorf("%s advertises upgrades", a.body)
		}
		wantUpgradeRefused(t, r, "&transport=websocket&sid="+r.sid(a.body), upgradeHeaders, "Bad request")
	})
}
