package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// newNamed returns stand-ins for instances: servers that are ready, and answer
// with their number and what they were sent.
func newNamed(t *testing.T, n int) (all []*instance, stop []func()) {
	for i := range n {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d%s", i, body)
		}))
		t.Cleanup(web.Close)
		all = append(all, &instance{addr: strings.TrimPrefix(web.URL, "http://")})
		stop = append(stop, web.Close)
	}
	return all, stop
}

func TestSpread(t *testing.T) {
	ask := func(t *testing.T, s *spread, c *http.Client, body string) string {
		t.Helper()
		answer, err := c.Post(s.url(), "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return string(text)
	}
	several := func(t *testing.T, s *spread, c *http.Client) (got []string) {
		for range 6 {
			got = append(got, ask(t, s, c, ""))
		}
		return got
	}
	t.Run(string(inTurns), func(t *testing.T) {
		instances, stop := newNamed(t, 3)
		s := newSpread(t, inTurns, instances...)
		c := new(http.Client)
		if got := several(t, s, c); !slices.Equal(got, []string{"1", "2", "0", "1", "2", "0"}) {
			t.Errorf("asked %v", got)
		}
		s.takeOut(2)
		if got := several(t, s, c); slices.Contains(got, "2") {
			t.Errorf("asked %v without 2", got)
		}
		s.putIn(2)
		stop[1]()
		s.idle() // else a request may be on its way by one to 1 when its end is noticed
		for range 6 {
			if got := ask(t, s, c, "hello"); got != "0hello" && got != "2hello" {
				t.Errorf("without 1, %q answers", got)
			}
		}
		if _, lost := s.counts(); lost > 0 {
			t.Errorf("%d requests were lost", lost)
		}
	})
	t.Run(string(atRandom), func(t *testing.T) {
		instances, _ := newNamed(t, 2)
		s := newSpread(t, atRandom, instances...)
		eventually(t, "one instance is never asked", func() bool {
			got := several(t, s, new(http.Client))
			return slices.Contains(got, "0") && slices.Contains(got, "1")
		})
	})
	t.Run(string(byConnection), func(t *testing.T) {
		instances, _ := newNamed(t, 2)
		s := newSpread(t, byConnection, instances...)
		got := several(t, s, &http.Client{Transport: new(http.Transport)})
		if len(slices.Compact(got)) != 1 {
			t.Errorf("on one connection %v answer", got)
		}
		other := several(t, s, &http.Client{Transport: new(http.Transport)})
		if other[0] == got[0] {
			t.Errorf("on another connection %v answer, too", other[0])
		}
	})
	for _, how := range []cut{reset, finish, freeze} {
		t.Run(string(how), func(t *testing.T) {
			instances, _ := newNamed(t, 1)
			s := newSpread(t, byConnection, instances...)
			conn, err := net.Dial("tcp", s.cuts.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
			buf := make([]byte, 1000)
			_, _ = io.WriteString(conn, request)
			if n, err := conn.Read(buf); err != nil || !strings.HasSuffix(string(buf[:n]), "\r\n\r\n0") {
				t.Fatalf("%q %v", buf[:n], err)
			}
			if n := s.cuts.cut(how, 1); n != 1 {
				t.Errorf("%d connections were cut", n)
			}
			_, _ = io.WriteString(conn, request)
			_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			n, err := conn.Read(buf)
			timeout, ok := err.(net.Error)
			if n > 0 || err == nil || (ok && timeout.Timeout()) != (how == freeze) {
				t.Errorf("then came %q, %v", buf[:n], err)
			}
		})
	}
}
