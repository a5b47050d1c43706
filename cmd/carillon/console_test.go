package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// TestPageServed fetches the page as a browser does, from a server whose
// Socket.IO is elsewhere.
func TestPageServed(t *testing.T) {
	i := startInstance(t, "belfry", "CARILLON_SERVER__PATH=/ring/")
	get := func(path string) (*http.Response, string) {
		t.Helper()
		r, err := http.Get(i.url() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
		return r, string(body)
	}
	r, page := get("/")
	if policy := r.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'; script-src 'self'; style-src 'self'") {
		t.Errorf("got the policy %q, want one that lets nothing in from elsewhere", policy)
	}
	for _, inline := range []string{"<script>", "<style", " style=", " onclick="} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %q, which its policy forbids", inline)
		}
	}
	for _, file := range []string{"/page.css", "/page.js", "/console.js", "/dom.js", "/icon.svg"} {
		if r, _ := get(file); r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: a browser may guess its type", file)
		}
	}
	if r, client := get("/client.js"); r.Request.URL.Path != "/ring/socket.io.min.js" || !strings.Contains(client, "Socket.IO v4") {
		t.Errorf("/client.js is %s, of %d bytes", r.Request.URL.Path, len(client))
	}
	var settings struct {
		Path  string
		Token *bool
	}
	if _, body := get("/page.json"); json.Unmarshal([]byte(body), &settings) != nil || settings.Path != "/ring/" || settings.Token == nil || *settings.Token {
		t.Errorf("/page.json is %s", body)
	}
}

// TestConsoleWithoutPage watches from an instance with a page one that has none:
// it reports like any other, but nobody watches there.
func TestConsoleWithoutPage(t *testing.T) {
	a, b := startPairOver(t, "redis", "REDIS_URL="+testRedis(t))
	b.stop(t)
	without := startInstance(t, "node-c", "CARILLON_SERVER__PAGE=false", "CARILLON_BROKER__DRIVER=redis", "REDIS_URL="+testRedis(t), clusterOf(a))

	c := socketiotest.Dial(t, without.url())
	c.Send("40/console,")
	if got, want := c.Read(), `44/console,{"message":"Invalid namespace"}`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	c = watchConsole(t, a)
	for range 20 { // seconds
		// node-b had gone before anybody watched.
		if n := readView(t, c); len(n) == 3 && n[1].State != "up" && n[1].Stats == nil && n[2].Name == "node-c" && n[2].State == "up" && n[2].Stats != nil && n[2].Stats.Broker == "up" {
			return
		}
	}
	t.Error("node-c does not report")
}

// TestConsoleWithoutBroker watches an instance whose broker is away.
func TestConsoleWithoutBroker(t *testing.T) {
	i := startInstance(t, "belfry", "CARILLON_BROKER__DRIVER=redis", "REDIS_URL=redis://:s3cret@127.0.0.1:1")
	n := readView(t, watchConsole(t, i))
	if len(n) != 1 || n[0].State != "degraded" || n[0].Stats == nil || n[0].Stats.Broker != "connecting" {
		t.Fatalf("got %+v, want one node that is degraded", n)
	}
	if why := n[0].Stats.Error; !strings.Contains(why, "connection refused") || strings.Contains(why, "s3cret") {
		t.Errorf("it tells %q, want why the broker is away, without its password", why)
	}
}

// A consoleNode is what a test reads of a node.
type consoleNode struct {
	Name, State string
	Stats       *struct{ Broker, Error string }
}

func watchConsole(t *testing.T, i *instance) *socketiotest.Client {
	t.Helper()
	c := socketiotest.Dial(t, i.url())
	c.Send("40/console,")
	if got := c.Read(); !strings.HasPrefix(got, `40/console,{"sid":`) {
		t.Fatalf("got %q, want to be let in", got)
	}
	return c
}

// readView reads what a console is told next.
func readView(t *testing.T, c *socketiotest.Client) []consoleNode {
	t.Helper()
	frame := c.Read()
	data, ok := strings.CutPrefix(frame, `42/console,["nodes",`)
	var view struct{ Nodes []consoleNode }
	if err := json.NewDecoder(strings.NewReader(data)).Decode(&view); !ok || err != nil { // an offset may follow
		t.Fatalf("%q: %v", frame, err)
	}
	return view.Nodes
}

// clusterOf is the setting by which another instance joins that of i.
func clusterOf(i *instance) string {
	for _, v := range i.cmd().Env {
		if strings.HasPrefix(v, "CARILLON_BROKER__CLUSTER=") {
			return v
		}
	}
	return ""
}
