package socketio

import (
	"slices"
	"testing"
)

// A client's sockets are found by the names of their namespaces, and no others.
func TestSockets(t *testing.T) {
	in := func(name string) *Socket { return &Socket{namespace: &Namespace{name: name}} }
	a, b, c := in("/a"), in("/b"), in("/c")
	var s sockets
	if got := s.in("/a"); got != nil || len(s.all()) > 0 {
		t.Fatalf("there is %v before any was put", got)
	}
	s.drop(a)
	for _, x := range []*Socket{a, b, c} {
		s.put(x)
	}
	holds := func(when string, want ...*Socket) {
		t.Helper()
		all := s.all()
		for _, x := range want {
			if s.in(x.namespace.name) != x || !slices.Contains(all, x) {
				t.Errorf("%s: no socket in %s", when, x.namespace.name)
			}
		}
		if len(all) != len(want) {
			t.Errorf("%s: got %d sockets, want %d", when, len(all), len(want))
		}
	}
	holds("put", a, b, c)
	s.drop(a)
	holds("the first dropped", b, c)
	b2, a2 := in("/b"), in("/a")
	s.put(b2)
	holds("another one in the place of one behind the first", b2, c)
	s.put(a2)
	holds("one put again", a2, b2, c)
	s.drop(a)
	s.drop(b)
	holds("those dropped that are not there any more", a2, b2, c)
	a3 := in("/a")
	s.put(a3)
	holds("another one in the place of the first", a3, b2, c)
	for _, x := range []*Socket{b2, a3, c} {
		s.drop(x)
	}
	holds("all dropped")
}
