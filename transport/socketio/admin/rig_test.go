package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

var quiet = slog.New(slog.DiscardHandler)

func hashOf(t testing.TB, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// serve returns a server with administrators, and its URL. setup is called
// before, so that what it registers comes first.
func serve(t *testing.T, io socketio.Options, opts admin.Options, setup func(*socketio.Server)) (*admin.Admin, *socketio.Server, string) {
	t.Helper()
	io.Logger = quiet
	server := socketio.New(io)
	if setup != nil {
		setup(server)
	}
	opts.Logger = quiet
	a, err := admin.Instrument(server, opts)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(server)
	t.Cleanup(func() {
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if err := server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		ts.Close()
	})
	return a, server, ts.URL
}

// serveNodes returns the URLs of nodes that know each other.
func serveNodes(t *testing.T, n int, opts admin.Options) (urls []string) {
	t.Helper()
	hub := memory.NewHub()
	up := make(chan struct{}, n*n)
	var buses []*broker.Bus
	for i := range n {
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
			broker.Options{Node: fmt.Sprint("n", i), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		b.Watch(func(e broker.Event) {
			if e.Kind == broker.NodeUp {
				up <- struct{}{}
			}
		})
		opts.ServerID = fmt.Sprint("n", i)
		_, _, url := serve(t, socketio.Options{Adapter: adapter.NewCluster(b, adapter.Options{Logger: quiet}).Namespace}, opts, nil)
		urls, buses = append(urls, url), append(buses, b)
	}
	for _, b := range buses {
		for len(b.Members()) < n-1 {
			<-up
		}
	}
	return urls
}

// A user is an administrator, or another client.
type user struct {
	*socketiotest.Client
	t  *testing.T
	id string
}

func join(t *testing.T, url, arg string) *user {
	t.Helper()
	c := socketiotest.Dial(t, url)
	return &user{c, t, c.Join(arg)}
}

// next returns the arguments of the next such event, and drops what precedes.
func (u *user) next(event string) []json.RawMessage {
	u.t.Helper()
	for {
		if name, args := u.read(); name == event {
			return args
		}
	}
}

func (u *user) read() (event string, args []json.RawMessage) {
	u.t.Helper()
	frame := u.Read()
	i := strings.IndexByte(frame, '[')
	if !strings.HasPrefix(frame, "42") && !strings.HasPrefix(frame, "45") {
		return "", nil
	}
	if err := json.Unmarshal([]byte(frame[i:]), &args); err != nil {
		u.t.Fatalf("%q: %v", frame, err)
	}
	return decode[string](u.t, args[0]), args[1:]
}

// connected returns the next socket that is told to have joined a namespace.
func (u *user) connected(namespace string) socket {
	u.t.Helper()
	for {
		if s := decode[socket](u.t, u.next("socket_connected")[0]); s.NSP == namespace {
			return s
		}
	}
}

// want reads the next such event about a socket, and compares what it says of
// it, but the time.
func (u *user) want(event string, want ...string) {
	u.t.Helper()
	for {
		args := u.next(event)
		var got []string
		for _, a := range args[:len(args)-1] {
			got = append(got, strings.Trim(string(a), `"`))
		}
		if slices.Equal(got, want) {
			if at := string(args[len(args)-1]); len(at) != len(`"2006-01-02T15:04:05.000Z"`) {
				u.t.Errorf("at %s, which is not a time", at)
			}
			return
		}
	}
}

func decode[T any](t testing.TB, text json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

type stats struct {
	ServerID            string
	Hostname            string
	PID                 int
	Uptime              float64
	ClientsCount        int
	PollingClientsCount int
	AggregatedEvents    []struct {
		Timestamp     int64
		Type, SubType string
		Count         int
	}
	Namespaces []struct {
		Name         string
		SocketsCount int
	}
}

type socket struct {
	ID, ClientID, Transport, NSP string
	Data                         json.RawMessage
	Handshake                    struct {
		Address string
		Headers map[string]string
		Query   map[string]string
		Issued  int64
		URL     string
	}
	Rooms []string
}
