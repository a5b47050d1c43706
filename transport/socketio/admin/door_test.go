package admin_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

func TestCredentialsAreNeeded(t *testing.T) {
	hash := hashOf(t, "s3cret", bcrypt.MinCost)
	for _, c := range []struct {
		opts admin.Options
		want error
	}{
		{admin.Options{}, admin.ErrNoAuth},
		{admin.Options{Username: "u"}, admin.ErrNoAuth},
		{admin.Options{PasswordHash: hash}, admin.ErrNoAuth},
		{admin.Options{Username: "u", PasswordHash: "s3cret"}, admin.ErrHash},
		{admin.Options{Username: "u", PasswordHash: hash[:59]}, admin.ErrHash},
		{admin.Options{Username: "u", PasswordHash: hash + "x"}, admin.ErrHash},
		{admin.Options{Username: "u", PasswordHash: "$2a$99" + hash[6:]}, admin.ErrHash},
		{admin.Options{Username: "u", PasswordHash: strings.Repeat("$", 60)}, admin.ErrHash},
	} {
		io := socketio.New(socketio.Options{Logger: quiet})
		_, err := admin.Instrument(io, c.opts)
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.opts, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows what should be kept: %v", err)
		}
		io.Close()
	}
	if err := admin.CheckHash("$2y" + hash[3:]); err != nil {
		t.Errorf("a hash of htpasswd: %v", err)
	}
}

func TestLogin(t *testing.T) {
	_, io, url := serve(t, socketio.Options{}, admin.Options{
		Username: "admin", PasswordHash: hashOf(t, "bells", bcrypt.MinCost),
	}, nil)
	c := socketiotest.Dial(t, url)
	for _, auth := range []string{
		``, `{}`, `{"username":"admin","password":"Bells"}`, `{"username":"Admin","password":"bells"}`,
		`{"username":"admin"}`, `{"password":"bells"}`, `{"sessionId":""}`, `{"sessionId":"` + strings.Repeat("A", 26) + `"}`,
		`{"username":{"$ne":1},"password":[]}`, `{"username":"admin","password":"` + strings.Repeat("x", 100_000) + `"}`,
	} {
		c.Send("40/admin," + auth)
		c.Want(`44/admin,{"message":"invalid credentials"}`)
	}
	u := join(t, url, `/admin,{"username":"admin","password":"bells"}`)
	event, args := u.read()
	if event != "session" {
		t.Fatalf("got %s first, want session", event)
	}
	session := decode[string](t, args[0])

	again := join(t, url, `/admin,{"sessionId":"`+session+`"}`)
	if event, args := again.read(); event != "config" {
		t.Errorf("got %s %s first, want config: the session is known", event, args)
	}

	// Who fetches sockets is told no secrets of administrators.
	sockets, err := io.Of("/admin").FetchSockets(t.Context())
	if err != nil || len(sockets) != 2 {
		t.Fatalf("got %v, %v, want 2 sockets", sockets, err)
	}
	for _, s := range sockets {
		if h := string(s.Handshake); strings.Contains(h, "bells") || strings.Contains(h, session) {
			t.Errorf("got %s", h)
		}
	}
}

// Guesses beyond those that are checked at a time are refused, and a client
// that waits its turn gets in all the same.
func TestManyGuesses(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{
		Username: "admin", PasswordHash: hashOf(t, "bells", bcrypt.MinCost),
	}, nil)
	const guesses = 150
	clients := make([]*socketiotest.Client, guesses)
	for i := range clients {
		clients[i] = socketiotest.Dial(t, url)
	}
	for _, c := range clients {
		c.Send(`40/admin,{"username":"admin","password":"wrong"}`)
	}
	for _, c := range clients {
		switch got := c.Read(); got {
		case `44/admin,{"message":"invalid credentials"}`:
		case `44/admin,{"message":"too many logins at a time, try again"}`:
		default:
			t.Fatalf("got %q", got)
		}
	}
	join(t, url, `/admin,{"username":"admin","password":"bells"}`)
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := admin.NewSessions(time.Hour)
		first := s.Issue()
		time.Sleep(time.Hour - 1)
		if second := s.Issue(); first == second || !s.Valid(first) || !s.Valid(second) {
			t.Errorf("%s and %s: want both valid", first, second)
		}
		time.Sleep(time.Nanosecond)
		if s.Valid(first) {
			t.Error("valid after its time")
		}
		if s.Valid("") {
			t.Error("no id is valid")
		}

		time.Sleep(2 * time.Hour)
		ids := make([]string, admin.MaxSessions+1)
		for i := range ids {
			ids[i] = s.Issue()
			time.Sleep(time.Nanosecond)
		}
		if s.Valid(ids[0]) || !s.Valid(ids[1]) || !s.Valid(ids[len(ids)-1]) {
			t.Error("want the oldest forgotten, and it alone")
		}
	})
}
