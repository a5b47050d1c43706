package socketio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A life is what the context package says of contexts.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var l life
		called, stopped := make(chan string, 10), 0
		context.AfterFunc(&l, func() { called <- "first" })
		for _, stop := range []func() bool{
			context.AfterFunc(&l, func() { called <- "stopped" }),
			context.AfterFunc(&l, func() { called <- "stopped, too" }),
		} {
			if stop() && !stop() {
				stopped++
			}
		}
		context.AfterFunc(&l, func() { called <- "last" })
		if stopped != 2 {
			t.Errorf("%d were stopped once, want 2", stopped)
		}
		child, cancel := context.WithTimeout(context.WithValue(&l, key{}, "value"), time.Hour)
		defer cancel()
		if child.Value(key{}) != "value" || child.Err() != nil || l.Err() != nil {
			t.Errorf("before the end: %v, %v, %v", child.Value(key{}), child.Err(), l.Err())
		}
		synctest.Wait()
		select {
		case <-l.Done():
			t.Error("done before the end")
		case what := <-called:
			t.Errorf("%s was called before the end", what)
		default:
		}
		l.end()
		l.end()
		<-child.Done()
		<-l.Done()
		if !errors.Is(l.Err(), context.Canceled) || !errors.Is(child.Err(), context.Canceled) {
			t.Errorf("after the end: %v, %v", l.Err(), child.Err())
		}
		late := make(chan struct{})
		stop := context.AfterFunc(&l, func() { close(late) })
		<-late
		if stop() {
			t.Error("stopped what was called")
		}
		synctest.Wait()
		if got := map[string]bool{<-called: true, <-called: true}; len(called) != 0 || !got["first"] || !got["last"] {
			t.Errorf("called: %v, and %d more", got, len(called))
		}
		var unasked life
		unasked.end()
		<-unasked.Done()
	})
}

// Contexts that are made of a life take no goroutine each, and it does not keep
// those that have ended.
func TestLifeKeepsNothing(t *testing.T) {
	var l life
	for range 100 {
		_, cancel := context.WithTimeout(&l, time.Hour)
		cancel()
	}
	if n := len(l.calls); n != 0 {
		t.Errorf("%d calls are kept", n)
	}
}
