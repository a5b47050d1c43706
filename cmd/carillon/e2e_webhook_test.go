package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/sign"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

const webhookSecret = "a-secret-for-tests"

// A receiver is a back end that is told of events.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex // guards what follows
	hang chan struct{}
	all  []webhook.Event
	ids  map[string]bool
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{ids: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, sign.Verify(req.Header, webhookSecret, time.Now(), time.Minute, body)); err != nil {
			t.Errorf("%s is not signed: %v", body, err)
		}
		r.mu.Lock()
		hang := r.hang
		r.mu.Unlock()
		if hang != nil {
			select {
			case <-hang:
			case <-req.Context().Done(): // given up
				return
			}
		}
		var batch struct{ Events []webhook.Event }
		if err := json.Unmarshal(body, &batch); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range batch.Events {
			if !r.ids[e.ID] { // it may come twice
				r.ids[e.ID] = true
				r.all = append(r.all, e)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// told returns what was told of a user: that it came and went, in order, which
// any node may tell, and then, in order, what its clients did and on which
// node: "type@node/namespace".
func (r *receiver) told(user string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var edges, did []string
	for _, e := range r.all {
		switch {
		case e.User != user:
		case strings.HasPrefix(e.Type, "user."):
			edges = append(edges, e.Type)
		default:
			did = append(did, e.Type+"@"+e.Node+e.Namespace)
		}
	}
	return strings.Join(append(edges, did...), " ")
}

func (r *receiver) wants(t *testing.T, user, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("of %s it was told %s, want %s", user, r.told(user), want), func() bool { return r.told(user) == want })
}

// TestWebhooks looks what a back end is told of users of two instances, one of
// which is killed.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	back := newReceiver(t)
	a, b := startPairWithAPI(t, "CARILLON_WEBHOOKS__URL="+back.URL+"/hook", "CARILLON_WEBHOOKS__SECRET="+webhookSecret,
		"CARILLON_WEBHOOKS__BATCH_DELAY=0s", "CARILLON_WEBHOOKS__TIMEOUT=500ms", "CARILLON_WEBHOOKS__CLIENT_EVENTS=order,message",
		"CARILLON_PRESENCE__GRACE=1s", "CARILLON_SERVER__NAMESPACES=/shop")
	watch := user(t, a, "watch")

	// Two devices at two instances are one coming and one going.
	one := user(t, a, "bob")
	until(watch, `42["presence:online",{"user":"bob",`)
	back.wants(t, "bob", "user.online")
	seen := func(n int) func() bool { // by both
		return func() bool {
			for _, i := range []*instance{a, b} {
				var got struct{ Users []struct{ Devices int } }
				call(t, i, "POST", "presence/query", `{"users":["bob"]}`, &got)
				if got.Users[0].Devices != n {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "bob's device is not seen", seen(1))
	other := user(t, b, "bob")
	eventually(t, "bob's second device is not seen", seen(2))
	one.Leave()
	eventually(t, "bob's first device is still seen", seen(1))
	other.Leave()
	until(watch, `42["presence:offline",{"user":"bob",`)
	back.wants(t, "bob", "user.online user.offline")

	// Clients' events are told with their arguments, those with a handler too,
	// and acknowledged.
	carol := user(t, b, "carol")
	carol.Send(`427["order",{"n":1},"x"]`)
	until(carol, `437[{"ok":true}]`)
	carol.Send(`428["message",{"to":"nobody","data":1}]`)
	until(carol, `438[{"ok":true`)
	back.wants(t, "carol", "user.online client.event@node-b/ client.event@node-b/")
	// Other namespaces are no different.
	erin := socketiotest.Dial(t, a.url())
	erin.Send(`40/shop,{"user":"erin"}`)
	until(erin, `42/shop,["session",`)
	erin.Send(`42/shop,7["order",2]`)
	until(erin, `43/shop,7[{"ok":true}]`)
	back.wants(t, "erin", "user.online client.event@node-a/shop")
	erin.Send(`41/shop,`)
	back.wants(t, "erin", "user.online user.offline client.event@node-a/shop")
	back.mu.Lock()
	at := slices.IndexFunc(back.all, func(e webhook.Event) bool { return e.Event == "order" })
	if got, _ := json.Marshal(back.all[at].Args); string(got) != `[{"n":1},"x"]` {
		t.Errorf("arguments: %s", got)
	}
	// A back end that hangs holds up nobody,
	back.hang = make(chan struct{})
	back.mu.Unlock()
	dave := user(t, b, "dave")
	for i := range 100 {
		carol.Send(fmt.Sprintf(`42["order",%d]`, i))
		carol.Send(fmt.Sprintf(`42["message",{"to":"dave","data":%d}]`, i))
		if got := until(dave, `42["message",`); !strings.Contains(got, fmt.Sprintf(`"data":%d,`, i)) {
			t.Fatalf("dave got %s", got)
		}
	}
	eventually(t, "nothing waits for the back end", func() bool { return scrape(t, b.url())["carillon_webhook_failures_total"] > 0 })
	// and is told all when it is back.
	back.mu.Lock()
	close(back.hang)
	back.hang = nil
	back.mu.Unlock()
	back.wants(t, "carol", "user.online client.event@node-b/ client.event@node-b/"+strings.Repeat(" client.event@node-b/", 200))

	// Of the users of an instance that is killed, the other one tells.
	back.wants(t, "dave", "user.online")
	b.kill(t)
	back.wants(t, "dave", "user.online user.offline")
	if got := scrape(t, a.url())[`carillon_webhook_events_dropped_total{reason="queue_full"}`]; got != 0 {
		t.Errorf("%v dropped", got)
	}
}
