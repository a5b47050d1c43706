package engineio_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/engineio"
)

// FuzzSession sends the packets of a payload to a session, by polling or by
// WebSocket, and compares what the Receiver hears with what it should.
func FuzzSession(f *testing.F) {
	for _, in := range []string{
		"4hello", "4a\x1e4b\x1ebAQID", "1", "2", "3", "4a\x1e1\x1e4b", "abc", "", "\x1e", "0\x1e5\x1e6\x1e4x", "4\xff", "b!", "4a\x1e9\x1e4b",
	} {
		f.Add([]byte(in), false)
		f.Add([]byte(in), true)
	}
	hears := make(chan *heard, 1)
	srv := engineio.New(engineio.Options{Logger: slog.New(slog.DiscardHandler)}, func(s *engineio.Session) engineio.Receiver {
		h := &heard{s: s, closed: make(chan engineio.Reason, 1)}
		hears <- h
		return h
	})
	web := httptest.NewServer(srv)
	f.Cleanup(func() {
		_ = srv.Close()
		web.Close()
	})

	f.Fuzz(func(t *testing.T, in []byte, ws bool) {
		if len(in) > 1<<16 || ws && !utf8.Valid(in) {
			return
		}
		want, reason := model(in, ws)
		var h *heard
		if ws {
			c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http")+"/?EIO=4&transport=websocket", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			h = <-hears
			go func() { // reads until the connection ends, as a client does
				for {
					if _, _, err := c.Read(t.Context()); err != nil {
						return
					}
				}
			}()
			for part := range bytes.SplitSeq(in, []byte("\x1e")) {
				if c.Write(t.Context(), websocket.MessageText, part) != nil {
					break // closed by one of those before
				}
			}
			if reason == "" {
				reason = engineio.ReasonTransportClose
				_ = c.Close(websocket.StatusNormalClosure, "")
			}
		} else {
			res := httptest.NewRecorder()
			srv.ServeHTTP(res, httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil))
			h = <-hears
			q := "/?EIO=4&transport=polling&sid=" + h.s.ID()
			res = httptest.NewRecorder()
			srv.ServeHTTP(res, httptest.NewRequest("POST", q, bytes.NewReader(in)))
			if ok := reason == "" || reason == engineio.ReasonTransportClose; ok != (res.Code == 200) {
				t.Errorf("%q is answered %d", in, res.Code)
			}
			if reason == "" {
				reason = engineio.ReasonTransportClose
				srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", q, strings.NewReader("1")))
			}
		}
		if got := <-h.closed; got != reason {
			t.Errorf("%q ended with %q, want %q", in, got, reason)
		}
		if !slices.Equal(h.got, want) {
			t.Errorf("%q was heard as %q, want %q", in, h.got, want)
		}
	})
}

// model is what in means, in the plainest words.
func model(in []byte, ws bool) (messages []string, reason engineio.Reason) {
	for p := range strings.SplitSeq(string(in), "\x1e") {
		switch {
		case strings.HasPrefix(p, "b"):
			data, err := io.ReadAll(base64.NewDecoder(base64.RawStdEncoding, strings.NewReader(strings.TrimRight(p[1:], "="))))
			if err != nil {
				return messages, engineio.ReasonParseError
			}
			messages = append(messages, "b"+string(data))
		case p == "" || !utf8.ValidString(p):
			return messages, engineio.ReasonParseError
		case p[0] == '1':
			return messages, engineio.ReasonTransportClose
		case p[0] == '2':
			return messages, engineio.ReasonTransportError
		case p[0] == '4':
			messages = append(messages, "4"+p[1:])
		case !strings.Contains("0356", p[:1]):
			return messages, engineio.ReasonParseError
		}
	}
	return messages, ""
}

type heard struct {
	s      *engineio.Session
	mu     sync.Mutex // Message and Closed are called one at a time; the race detector is to see it
	got    []string
	closed chan engineio.Reason
}

func (h *heard) Message(binary bool, data []byte) error {
	if !h.mu.TryLock() {
		panic("called during another call")
	}
	defer h.mu.Unlock()
	kind := "4"
	if binary {
		kind = "b"
	}
	h.got = append(h.got, kind+string(data))
	return nil
}

func (h *heard) Closed(reason engineio.Reason, _ error) { h.closed <- reason }
