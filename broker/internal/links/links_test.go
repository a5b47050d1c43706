package links_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/internal/links"
)

func TestLinks(t *testing.T) {
	var told []string
	l := links.New()
	l.On(func(k broker.Link) { told = append(told, fmt.Sprint(k.Role, " ", k.Up, " ", k.Attempt)) })
	want := func(what string, lines ...string) {
		t.Helper()
		if !slices.Equal(told, lines) {
			t.Errorf("%s: told %q, want %q", what, told, lines)
		}
		told = nil
	}
	away := errors.New("away")
	l.Worked(links.Publisher, "a")
	l.Failed(links.Publisher, "a", context.Canceled)
	want("nothing is down")
	if n := l.Failed(links.Publisher, "a", away) + l.Failed(links.Publisher, "a", away); n != 3 {
		t.Errorf("attempts 1 and 2 are %d", n)
	}
	l.Failed(links.Publisher, "b", away)
	l.Failed(links.Subscriber, "a", away)
	want("failures", "publisher false 1", "publisher false 2", "publisher false 1", "subscriber false 1")
	wake := l.Wake()
	l.Worked(links.Publisher, "a")
	want("one of two")
	select {
	case <-wake:
	default:
		t.Error("who waits was not woken")
	}
	l.AllWorked(links.Publisher)
	l.Worked(links.Subscriber, "a")
	want("all", "publisher true 0", "subscriber true 0")
	l.Close()
	l.Failed(links.Subscriber, "a", away)
	want("closed")
}
