package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Why the broker cannot be joined may change: that it is away and, when it
// comes, that the password is wrong. The log has the last reason.
func TestReasonChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs logBuffer
		tries := 0
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
			if tries++; tries <= 2 {
				return nil, errors.New("away")
			}
			return nil, errors.New("refuses the password")
		}, broker.Options{Node: "x", Logger: logTo(&logs), Retry: broker.Retry{Retries: 3}})
		ok(t, err)
		time.Sleep(time.Minute)
		ok(t, b.Close())
		got := logs.take()
		for _, want := range []string{
			`level=WARN msg="the broker is unreachable, this node is local-only until it appears" node=x err=away`,
			`level=INFO msg=reconnecting node=x try=1` + "\n",
			`level=INFO msg=reconnecting node=x try=2 err=away`,
			`level=INFO msg=reconnecting node=x try=3 err="refuses the password"`,
			`level=ERROR msg="the broker stays away, this node is degraded: it serves locally and goes on trying" node=x tries=3 err="refuses the password"`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("the log lacks %s\ngot\n%s", want, got)
			}
		}
	})
}
