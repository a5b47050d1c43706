package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

func TestDynamicNamespaces(t *testing.T) {
	var mu sync.Mutex
	var made []string
	var tenants, rooms *socketio.ParentNamespace
	io, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		io.OnNamespace(func(n *socketio.Namespace) {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, n.Name())
			socketio.Reply(n, "made", func(context.Context, *socketio.Socket, struct{}) (bool, error) { return true, nil })
		})
		rooms = io.OfRegexp(regexp.MustCompile(`^/room-\d+$`))
		tenants = io.OfFunc(func(_ context.Context, name string, h *socketio.Handshake) bool {
			if name == "/panic" {
				panic("oops")
			}
			var auth struct{ Tenant string }
			h.Auth.Decode(&auth)
			return name == "/"+auth.Tenant
		})
		for _, p := range []*socketio.ParentNamespace{rooms, tenants} {
			p.Use(func(_ context.Context, s *socketio.Socket) error {
				if s.Handshake().URL.Query().Has("refuse") {
					return socketio.Errorf("no", "no")
				}
				return nil
			})
			socketio.Reply(p, "who", func(_ context.Context, s *socketio.Socket, _ struct{}) (string, error) {
				return s.Namespace().Name(), nil
			})
		}
	})
	c := socketiotest.Dial(t, url)
	for _, refused := range []string{"/room-x", "/acme", "/panic", "/room-1" + strings.Repeat("0", 300)} {
		c.Send("40" + refused + ",")
		c.Want("44" + refused + `,{"message":"Invalid namespace"}`)
	}
	c.Join("/room-1,")
	c.Join("/room-2,")
	c.Join(`/acme,{"tenant":"acme"}`)
	for _, name := range []string{"/room-1", "/room-2", "/acme"} {
		c.Send("42" + name + `,1["who"]`)
		c.Want("43" + name + `,1["` + name + `"]`)
		c.Send("42" + name + `,2["made"]`)
		c.Want("43" + name + `,2[true]`)
	}
	io.Of("/static")
	mu.Lock()
	if want := []string{"/room-1", "/room-2", "/acme", "/static"}; !slices.Equal(made, want) {
		t.Errorf("made %q, want %q", made, want)
	}
	mu.Unlock()

	// What is registered with the parent later is for later children.
	socketio.Reply(rooms, "late", func(context.Context, *socketio.Socket, struct{}) (bool, error) { return true, nil })
	c.Send(`42/room-1,3["late"]`)
	c.Join("/room-3,")
	c.Send(`42/room-3,3["late"]`)
	c.Want(`43/room-3,3[true]`)

	if err := tenants.Emit("hello"); err != nil {
		t.Error(err)
	}
	c.Want(`42/acme,["hello"]`)
	if n := len(rooms.Namespaces()); n != 3 {
		t.Errorf("%d rooms, want 3", n)
	}
	if n := io.Of("/room-4"); n.Parent() != rooms || io.Of("/room-1").Parent() != rooms || io.Of("/static").Parent() != nil {
		t.Error("wrong parents")
	}
	if err := rooms.Emit("x"); err != nil {
		t.Error(err)
	}
}

// Without a bound, a client could make namespaces without end.
func TestMaxNamespaces(t *testing.T) {
	refused := make(chan error, 1)
	_, url := serve(t, socketio.Options{
		MaxNamespaces:          2,
		CleanupEmptyNamespaces: true,
		Hooks:                  socketio.Hooks{Refused: func(_ string, err error) { refused <- err }},
	}, func(io *socketio.Server) {
		io.OfRegexp(regexp.MustCompile(`^/\d+$`))
	})
	c, other := socketiotest.Dial(t, url), socketiotest.Dial(t, url)
	c.Join("/1,")
	c.Join("/2,")
	c.Send("40/3,")
	c.Want(`44/3,{"message":"Invalid namespace"}`)
	if err := within(t, refused, "refusal"); !errors.Is(err, socketio.ErrTooManyNamespaces) {
		t.Errorf("got %v, want ErrTooManyNamespaces", err)
	}
	other.Join("/1,") // exists
	c.Send("41/2,")
	c.Send("41/1,")
	for { // the end of the socket may take its time
		c.Send("40/3,")
		if strings.HasPrefix(c.Read(), "40/3,{") {
			break
		}
		within(t, refused, "refusal")
	}
}

func TestCleanupEmptyNamespaces(t *testing.T) {
	ended := make(chan error, 10)
	var parent *socketio.ParentNamespace
	io, url := serve(t, socketio.Options{CleanupEmptyNamespaces: true}, func(io *socketio.Server) {
		parent = io.OfRegexp(regexp.MustCompile(`^/room-`))
		parent.Use(func(_ context.Context, s *socketio.Socket) error {
			if !s.Handshake().Auth.IsNull() {
				return socketio.Errorf("no", "no")
			}
			return nil
		})
		parent.OnDisconnect(func(_ context.Context, s *socketio.Socket, _ socketio.Reason) {
			ended <- s.Namespace().Emit("still there")
		})
	})
	gone := func(n *socketio.Namespace) {
		t.Helper()
		eventually(t, "closed", func() bool { return errors.Is(n.Emit("x"), adapter.ErrClosed) })
		if got := parent.Namespaces(); len(got) != 0 {
			t.Errorf("%d namespaces left", len(got))
		}
	}
	c := socketiotest.Dial(t, url)
	c.Join("/room-1,")
	c.Send("41/room-1,")
	if err := within(t, ended, "end"); err != nil {
		t.Errorf("emit from a disconnect handler: %v", err)
	}
	eventually(t, "cleaned up", func() bool { return len(parent.Namespaces()) == 0 })
	c.Join("/room-1,")
	n := parent.Namespaces()[0]
	other := socketiotest.Dial(t, url)
	other.Join("/room-1,")
	c.Vanish()
	within(t, ended, "end")
	if err := n.Emit("hello"); err != nil {
		t.Error(err)
	}
	other.Want(`42/room-1,["still there"]`, `42/room-1,["hello"]`)
	other.Vanish()
	within(t, ended, "end")
	gone(n)

	// A refused client leaves nothing behind; nor does a static namespace go.
	io.Of("/static")
	c = socketiotest.Dial(t, url)
	c.Send(`40/room-2,{"refuse":1}`)
	c.Want(`44/room-2,{"message":"no","data":{"code":"no"}}`)
	eventually(t, "cleaned up", func() bool { return len(parent.Namespaces()) == 0 })
	c.Join("/static,")
	c.Send("41/static,")
	c.Join("/static,")
}

// Clients that come and go at the same time always get a namespace that works.
func TestCleanupRace(t *testing.T) {
	var parent *socketio.ParentNamespace
	_, urls, _ := serveNodes(t, 2, socketio.Options{CleanupEmptyNamespaces: true}, func(io *socketio.Server) {
		parent = io.OfRegexp(regexp.MustCompile(`^/room$`))
		parent.Handle("echo", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			s.Join("mine" + s.ID())
			return s.Namespace().To("mine"+s.ID()).Emit("echo", e.Args[0])
		})
	})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c := socketiotest.Dial(t, urls[i%2])
			for j := range 50 {
				c.Join("/room,")
				c.Send(fmt.Sprintf(`42/room,["echo",%d]`, j))
				c.Want(fmt.Sprintf(`42/room,["echo",%d]`, j))
				c.Send("41/room,")
			}
			c.Leave()
		})
	}
	wg.Wait()
	eventually(t, "cleaned up", func() bool { return len(parent.Namespaces()) == 0 })
}
