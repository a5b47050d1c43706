package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// figures are the series of a scrape, by name and labels as they are written.
type figures map[string]float64

func scrape(t *testing.T, url string) figures {
	t.Helper()
	return scrapeAt(t, strings.TrimPrefix(url, "http://"))
}

func scrapeAt(t *testing.T, addr string) figures {
	t.Helper()
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all := figures{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, ok := cutLast(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			all[name] = n
		}
	}
	if answer.StatusCode != http.StatusOK || len(all) == 0 {
		t.Fatalf("status %d, %d figures", answer.StatusCode, len(all))
	}
	return all
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// eventually polls until what is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// TestFigures has 1,000 messages cross from one instance to the other, and the
// broker go away and come back, and looks whether both tell.
func TestFigures(t *testing.T) {
	const messages = 1000
	const out, in = `carillon_broker_messages_total{direction="out"}`, `carillon_broker_messages_total{direction="in"}`
	redis := newRedis(t)
	a, b := startPair(t, redis.url())
	alice, bob := user(t, a, "alice"), user(t, b, "bob")
	until(alice, `42["presence:online",{"user":"bob",`)

	var before [2]figures
	eventually(t, "the instances do not come to rest", func() bool {
		before[0], before[1] = scrape(t, a.url()), scrape(t, b.url())
		time.Sleep(100 * time.Millisecond)
		return scrape(t, a.url())[out] == before[0][out] && scrape(t, b.url())[in] == before[1][in]
	})
	for i := range messages {
		alice.Send(fmt.Sprintf(`42["message",{"to":"bob","data":%d}]`, i))
	}
	for i := range messages {
		if got := until(bob, `42["message",`); !strings.Contains(got, fmt.Sprintf(`"data":%d,`, i)) {
			t.Fatalf("message %d is %s", i, got)
		}
	}
	// A publish counts once the broker has taken it, be it after bob got it.
	eventually(t, "not all are counted", func() bool { return scrape(t, a.url())[out] >= before[0][out]+messages })
	at, bt := scrape(t, a.url()), scrape(t, b.url())
	for name, got := range map[string]float64{
		"out of a":            at[out] - before[0][out],
		"into b":              bt[in] - before[1][in],
		"events received (a)": at["carillon_events_received_total"] - before[0]["carillon_events_received_total"],
		"events sent (b)":     bt["carillon_events_sent_total"] - before[1]["carillon_events_sent_total"],
	} {
		// What presence says to other nodes, every now and then, is among what
		// the broker carries.
		if aside := name == "out of a" || name == "into b"; got != messages && !(aside && got > messages && got < messages+10) {
			t.Errorf("%s: %v counted, want %d", name, got, messages)
		}
	}
	for _, of := range []figures{at, bt} {
		if of[`carillon_connections{transport="websocket"}`] != 1 || of[`carillon_connections{transport="polling"}`] != 0 {
			t.Errorf("connections: %v and %v, want 1 and 0", of[`carillon_connections{transport="websocket"}`], of[`carillon_connections{transport="polling"}`])
		}
		if of["carillon_presence_users"] != 2 || of["carillon_nodes"] != 2 || of[`carillon_broker_state{state="up"}`] != 1 {
			t.Errorf("users %v, nodes %v", of["carillon_presence_users"], of["carillon_nodes"])
		}
	}
	envelopes := bt[`carillon_broker_envelopes_total{direction="in"}`]
	if lag := bt["carillon_broker_lag_seconds_count"]; lag == 0 || lag != envelopes {
		t.Errorf("lag: %v observations of %v envelopes", lag, envelopes)
	}
	if trips := at["carillon_broker_round_trip_seconds_count"]; trips == 0 {
		t.Error("no round trips")
	}

	redis.kill(t)
	for _, role := range []string{"publisher", "subscriber"} {
		eventually(t, "no connection errors of the "+role, func() bool {
			return scrape(t, a.url())[`carillon_broker_connection_errors_total{role="`+role+`"}`] > 0
		})
	}
	ready := func() (int, string) {
		answer, err := http.Get(a.url() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	if status, text := ready(); status != 503 || !strings.Contains(text, `{"name":"broker","ok":false,"reason":"`) {
		t.Errorf("without broker: %d %s", status, text)
	}
	redis.start(t)
	for _, role := range []string{"publisher", "subscriber"} {
		eventually(t, "no reconnect of the "+role, func() bool {
			return scrape(t, a.url())[`carillon_broker_reconnects_total{role="`+role+`"}`] > 0
		})
	}
	eventually(t, "it is not ready again", func() bool { status, _ := ready(); return status == 200 })
}

// user connects a user who has a session.
func user(t *testing.T, i *instance, name string) *socketiotest.Client {
	t.Helper()
	c := socketiotest.Dial(t, i.url())
	c.Join(`{"user":"` + name + `"}`)
	until(c, `42["session",`)
	return c
}

// until reads up to a frame that begins with prefix.
func until(c *socketiotest.Client, prefix string) string {
	for {
		if frame := c.Read(); strings.HasPrefix(frame, prefix) {
			return frame
		}
	}
}
