package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

func TestConnect(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		io.Of("/chat")
		io.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) {
			var auth struct{ User string }
			s.Handshake().Auth.Decode(&auth)
			s.Emit("hello", auth.User, s.Handshake().URL.Query().Get("EIO"))
		})
	})
	c := socketiotest.Dial(t, url)
	c.Send(`40{"user":"alice"}`)
	answer := c.Read()
	var fields map[string]string
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "40")), &fields); err != nil || len(fields) != 1 || len(fields["sid"]) != 20 {
		t.Errorf("got %q, want CONNECT with a sid of 20 characters and nothing else", answer)
	}
	c.Want(`42["hello","alice","4"]`)

	if id := c.Join("/chat,"); id == fields["sid"] {
		t.Error("two sockets of one client have the same id")
	}
	c.Send("40/nowhere,")
	c.Want(`44/nowhere,{"message":"Invalid namespace"}`)
}

// A client that knows itself connected is found by all who look.
func TestConnectedIsListed(t *testing.T) {
	for name, opts := range map[string]socketio.Options{"plain": {}, "recovery": {Recovery: socketio.Recovery{Enabled: true}}} {
		t.Run(name, func(t *testing.T) {
			io, url := serve(t, opts, func(io *socketio.Server) { io.Of("/") })
			for range 500 {
				c := socketiotest.Dial(t, url)
				if id := c.Join(""); io.Of("/").Socket(id) == nil {
					t.Fatal("the client has its CONNECT packet, the namespace not its socket")
				}
				c.Vanish()
			}
		})
	}
}

func TestMiddleware(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Use(func(_ context.Context, s *socketio.Socket) error {
			var auth struct{ Token string }
			s.Handshake().Auth.Decode(&auth)
			switch auth.Token {
			case "bad":
				return socketio.Errorf("forbidden", "no %s tokens", auth.Token)
			case "data":
				return &socketio.Error{Message: "later", Data: map[string]int{"wait": 3}}
			case "secret":
				return errors.New("password is hunter2")
			case "panic":
				panic("oops")
			}
			s.Join("early")
			return nil
		})
		n.OnConnect(func(_ context.Context, s *socketio.Socket) { n.To("early").Emit("in") })
	})
	c := socketiotest.Dial(t, url)
	for token, want := range map[string]string{
		"bad":    `44{"message":"no bad tokens","data":{"code":"forbidden"}}`,
		"data":   `44{"message":"later","data":{"wait":3}}`,
		"secret": `44{"message":"internal error","data":{"code":"internal"}}`,
		"panic":  `44{"message":"internal error","data":{"code":"internal"}}`,
	} {
		c.Send(`40{"token":"` + token + `"}`)
		c.Want(want)
	}
	c.Join("")
	c.Want(`42["in"]`)
}

type line struct {
	Room string       `json:"room"`
	Text string       `json:"text"`
	Blob socketio.Raw `json:"blob"`
}

func TestEventsAndAcks(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		socketio.On(n, "on", func(_ context.Context, s *socketio.Socket, l line) error {
			return s.Emit("got", l.Text)
		})
		socketio.Reply(n, "reply", func(_ context.Context, _ *socketio.Socket, l line) (string, error) {
			switch l.Text {
			case "refuse":
				return "", socketio.Errorf("refused", "not you")
			case "fail":
				return "", errors.New("dial tcp 10.0.0.1: secret")
			case "panic":
				panic("oops")
			}
			return l.Text + "!", nil
		})
		n.Handle("raw", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			var number int
			var text string
			if err := e.Bind(&number, &text); err != nil {
				return err
			}
			return e.Ack(len(e.Args), number, text)
		})
		n.Handle("deferred", func(ctx context.Context, s *socketio.Socket, e *socketio.Event) error {
			e.Defer()
			go func() {
				e.Ack("late")
				e.Ack("twice")
				s.Emit("done")
			}()
			return nil
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	tests := []struct{ name, send, want string }{
		{"typed", `42["on",{"text":"a"}]`, `42["got","a"]`},
		{"typed, without argument", `42["on"]`, `42["got",""]`},
		{"return nil acknowledges", `425["on",{"text":"b"}]`, "42[\"got\",\"b\"]\n435[]"},
		{"reply", `426["reply",{"text":"c"}]`, `436["c!"]`},
		{"refusal", `427["reply",{"text":"refuse"}]`, `437[{"ok":false,"error":{"code":"refused","message":"not you"}}]`},
		{"other error", `428["reply",{"text":"fail"}]`, `438[{"ok":false,"error":{"code":"internal","message":"internal error"}}]`},
		{"panic", `429["reply",{"text":"panic"}]`, `439[{"ok":false,"error":{"code":"internal","message":"internal error"}}]`},
		{"wrong type", `4210["reply",{"text":1}]`, `4310[{"ok":false,"error":{"code":"invalid","message":"argument 1.text: unexpected number"}}]`},
		{"several arguments", `4211["raw",7,"x",null]`, `4311[3,7,"x"]`},
		{"deferred, once", `4212["deferred"]`, "4312[\"late\"]\n42[\"done\"]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := c.With(t)
			c.Send(tt.send)
			c.Want(strings.Split(tt.want, "\n")...)
		})
	}
}

func TestBinary(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("pass", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			return s.Emit("passed", e.Args[1], e.Args[0]) // the other way round
		})
		socketio.Reply(n, "bytes", func(_ context.Context, _ *socketio.Socket, b []byte) ([]byte, error) {
			return append(b, '!'), nil
		})
		type part struct {
			Name string          `json:"name"`
			Data socketio.Binary `json:"data"`
		}
		socketio.Reply(n, "struct", func(_ context.Context, _ *socketio.Socket, p part) (any, error) {
			p.Data = append(p.Data, '!')
			return map[string]any{"part": p}, nil
		})
		socketio.On(n, "nested", func(_ context.Context, s *socketio.Socket, l line) error {
			return s.Emit("nested", map[string]any{"blob": l.Blob, "text": l.Text})
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join("")

	c.Send(`452-["pass",{"a":{"_placeholder":true,"num":0}},[{ "num":1, "_placeholder":true }]]`)
	c.SendBinary([]byte("zero"))
	c.SendBinary([]byte("one"))
	c.Want(`452-["passed",[{"_placeholder":true,"num":0}],{"a":{"_placeholder":true,"num":1}}]`, "b:one", "b:zero")

	c.Send(`451-1["bytes",{"_placeholder":true,"num":0}]`)
	c.SendBinary([]byte{0, 1, 2})
	c.Want(`461-1[{"_placeholder":true,"num":0}]`, "b:\x00\x01\x02!")

	c.Send(`451-2["struct",{"name":"n","data":{"_placeholder":true,"num":0}}]`)
	c.SendBinary([]byte("x"))
	c.Want(`461-2[{"part":{"name":"n","data":{"_placeholder":true,"num":0}}}]`, "b:x!")

	c.Send(`451-["nested",{"text":"t","blob":[1,{"x":{"_placeholder":true,"num":0}}]}]`)
	c.SendBinary([]byte("y"))
	c.Want(`451-["nested",{"blob":[1,{"x":{"_placeholder":true,"num":0}}],"text":"t"}]`, "b:y")
}

// A handler may wait for its own client's acknowledgement.
func TestEmitWithAck(t *testing.T) {
	failed := make(chan error, 2)
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("ask", func(ctx context.Context, s *socketio.Socket, e *socketio.Event) error {
			sum, err := socketio.EmitWithAck[int](ctx, s, "add", 1, 2)
			if err != nil {
				return err
			}
			return e.Ack(sum)
		})
		n.Handle("hang", func(ctx context.Context, s *socketio.Socket, _ *socketio.Event) error {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_, err := s.EmitWithAck(short, "silence")
			failed <- err
			_, err = s.EmitWithAck(ctx, "gone")
			failed <- err
			return nil
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	c.Send(`421["ask"]`)
	c.Want(`420["add",1,2]`)
	c.Send(`430[3]`)
	c.Want(`431[3]`)

	c.Send(`42["hang"]`)
	c.Want(`421["silence"]`, `422["gone"]`)
	c.Send(`431["too late"]`)
	c.Vanish()
	if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timeout: got %v, want DeadlineExceeded", err)
	}
	if err := <-failed; !errors.Is(err, socketio.ErrDisconnected) {
		t.Errorf("disconnect: got %v, want ErrDisconnected", err)
	}
}

func TestEmitters(t *testing.T) {
	io, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		socketio.On(n, "join", func(_ context.Context, s *socketio.Socket, room string) error {
			s.Join(room)
			return nil
		})
		n.Handle("others", func(_ context.Context, s *socketio.Socket, _ *socketio.Event) error {
			return s.To("red", "blue").Emit("others")
		})
		n.Handle("broadcast", func(_ context.Context, s *socketio.Socket, _ *socketio.Event) error {
			return s.Broadcast().Emit("broadcast")
		})
	})
	n := io.Of("/")
	a, b, c := socketiotest.Dial(t, url), socketiotest.Dial(t, url), socketiotest.Dial(t, url)
	idA := a.Join("")
	b.Join("")
	idC := c.Join("")
	a.Send(`420["join","red"]`)
	a.Want(`430[]`)
	b.Send(`420["join","red"]`)
	b.Want(`430[]`)
	b.Send(`421["join","blue"]`)
	b.Want(`431[]`)

	n.To("red", "blue").Emit("union") // b is in both, and hears it once
	a.Want(`42["union"]`)
	b.Want(`42["union"]`)
	n.To("red").Except("blue").Emit("except")
	a.Want(`42["except"]`)
	n.To(idC).Emit("one")
	c.Want(`42["one"]`)
	a.Send(`42["others"]`)
	b.Want(`42["others"]`)
	c.Send(`42["broadcast"]`)
	a.Want(`42["broadcast"]`)
	b.Want(`42["broadcast"]`)
	n.Local().Emit("all")
	for _, x := range []*socketiotest.Client{a, b, c} {
		x.Want(`42["all"]`)
	}

	if count, err := n.To("red").Count(t.Context()); err != nil || count != 2 {
		t.Errorf("count: got %d, %v; want 2", count, err)
	}
	n.To(idC).SocketsJoin("green")
	n.To("blue").SocketsLeave("red")
	sockets, err := n.To("green", "red").FetchSockets(t.Context())
	if err != nil || len(sockets) != 2 {
		t.Fatalf("got %d sockets, %v; want 2", len(sockets), err)
	}
	for _, s := range sockets {
		var handshake struct{ Query map[string]string }
		if err := json.Unmarshal(s.Handshake, &handshake); err != nil || handshake.Query["EIO"] != "4" {
			t.Errorf("handshake %s: %v", s.Handshake, err)
		}
		if s.ID != idA && s.ID != idC || len(s.Rooms) != 2 {
			t.Errorf("socket %s in %q", s.ID, s.Rooms)
		}
		s.Emit("fetched")
	}
	a.Want(`42["fetched"]`)
	c.Want(`42["fetched"]`)

	receipt, err := n.Deliver("counted")
	if err != nil {
		t.Fatal(err)
	}
	if handed, err := receipt.Wait(t.Context()); err != nil || handed != 3 {
		t.Errorf("handed to %d, %v; want 3", handed, err)
	}
	for _, reservedName := range []string{"connect", "disconnect", "newListener"} {
		if err := n.Emit(reservedName); !errors.Is(err, socketio.ErrReserved) {
			t.Errorf("emit %s: got %v, want ErrReserved", reservedName, err)
		}
	}
	if err := n.Emit("x", make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
}

// What one goroutine does reaches the client in its order.
func TestProgramOrder(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("go", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			for i := range 50 {
				n.Emit("all", i)
				s.Emit("one", i)
			}
			s.Join("room")
			n.To("room").Emit("room")
			e.Ack()
			n.Emit("last")
			s.Disconnect(true)
			return nil
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	c.Send(`421["go"]`)
	for i := range 50 {
		n := string(rune('0'+i/10)) + string(rune('0'+i%10))
		n = strings.TrimPrefix(n, "0")
		c.Want(`42["all",`+n+`]`, `42["one",`+n+`]`)
	}
	c.Want(`42["room"]`, `431[]`, `42["last"]`, `41`)
	c.WantClosed()
}

func TestDisconnect(t *testing.T) {
	type end struct {
		reason socketio.Reason
		rooms  int
		err    error
	}
	ends := make(chan end, 10)
	setup := func(io *socketio.Server) {
		n := io.Of("/")
		io.Of("/other")
		n.Use(func(_ context.Context, s *socketio.Socket) error { // unlike OnConnect, before the client hears of it
			s.Join("room")
			return nil
		})
		n.OnDisconnect(func(ctx context.Context, s *socketio.Socket, reason socketio.Reason) {
			ends <- end{reason, len(s.Rooms()), errors.Join(ctx.Err(), s.Emit("x"))}
		})
		socketio.On(n, "leave", func(_ context.Context, s *socketio.Socket, close bool) error {
			s.Disconnect(close)
			return nil
		})
	}
	want := func(t *testing.T, reason socketio.Reason) {
		t.Helper()
		select {
		case e := <-ends:
			if e.reason != reason || e.rooms != 2 || !errors.Is(e.err, socketio.ErrDisconnected) {
				t.Errorf("got %+v, want reason %q, 2 rooms and ErrDisconnected from Emit", e, reason)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no disconnect")
		}
	}
	_, url := serve(t, socketio.Options{}, setup)
	t.Run("client leaves the namespace", func(t *testing.T) {
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Send("41")
		want(t, socketio.ReasonClient)
		c.Join("") // and may come back
	})
	want(t, "transport close") // at the end of the test before
	t.Run("client goes", func(t *testing.T) {
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Leave()
		want(t, "transport close")
	})
	t.Run("server ends the socket", func(t *testing.T) {
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Join("/other,")
		c.Send(`42["leave",false]`)
		c.Want("41")
		want(t, socketio.ReasonServer)
		c.Send(`42["on its way"]`) // was sent before the 41 came: no offence
		c.Join("")
		c.Send("41")
		want(t, socketio.ReasonClient)
	})
	t.Run("server ends the connection", func(t *testing.T) {
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Send(`42["leave",true]`)
		c.Want("41")
		c.WantClosed()
		want(t, socketio.ReasonServer)
	})
	t.Run("client is silent", func(t *testing.T) {
		_, url := serve(t, socketio.Options{Engine: quick()}, setup)
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Want("2")
		want(t, "ping timeout")
	})
	t.Run("protocol violation", func(t *testing.T) {
		c := socketiotest.Dial(t, url)
		c.Join("")
		c.Send("4nonsense")
		c.WantClosed()
		want(t, "parse error")
	})
	t.Run("server shuts down", func(t *testing.T) {
		io, url := serve(t, socketio.Options{}, setup)
		c := socketiotest.Dial(t, url)
		c.Join("")
		done := make(chan error, 1)
		go func() { done <- io.Shutdown(t.Context()) }()
		c.WantClosed()
		want(t, socketio.ReasonShutdown)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Each of these closes the connection, and harms no other.
func TestViolations(t *testing.T) {
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		io.Of("/chat")
		socketio.Reply(io.Of("/"), "echo", func(_ context.Context, _ *socketio.Socket, r socketio.Raw) (socketio.Raw, error) {
			return r, nil
		})
	})
	other := socketiotest.Dial(t, url)
	other.Join("")
	for name, frames := range map[string][]string{
		"event before CONNECT":        {`42["x"]`},
		"second CONNECT":              {`40`, `40`},
		"namespace not joined":        {`40`, `42/chat,["x"]`},
		"CONNECT_ERROR":               {`40`, `44{"message":"x"}`},
		"reserved event":              {`40`, `42["disconnect"]`},
		"no event name":               {`40`, `42[]`},
		"not JSON":                    {`40`, `42["x"`},
		"unknown type":                {`40`, `49`},
		"text between attachments":    {`40`, `451-["x",{"_placeholder":true,"num":0}]`, `42["y"]`},
		"attachment of nothing":       {`40`, `b:x`},
		"placeholder out of range":    {`40`, `451-["x",{"_placeholder":true,"num":1}]`, `b:x`},
		"placeholder below range":     {`40`, `451-["x",{"_placeholder":true,"num":-1}]`, `b:x`},
		"attachments beyond the rule": {`40`, `4511-["x"]`},
	} {
		t.Run(name, func(t *testing.T) {
			c := socketiotest.Dial(t, url)
			for i, f := range frames {
				if b, ok := strings.CutPrefix(f, "b:"); ok {
					c.SendBinary([]byte(b))
				} else {
					c.Send(f)
				}
				if i == 0 && f == "40" {
					c.Read()
				}
			}
			c.WantClosed()
		})
	}
	other.Send(`421["echo",[1, {"a" : "\u2028"}]]`)
	other.Want(`431[[1, {"a" : "\u2028"}]]`)
	for _, tolerated := range []string{`42`, `439[]`, `43/chat,1[]`, `42[5,1]`, `42["unheard of"]`} {
		other.Send(tolerated)
	}
	other.Send(`422["echo"]`)
	other.Want(`432[null]`)
}

// A client that joins no namespace is closed.
func TestConnectTimeout(t *testing.T) {
	_, url := serve(t, socketio.Options{ConnectTimeout: 50 * time.Millisecond}, nil)
	in := socketiotest.Dial(t, url)
	in.Join("")
	out := socketiotest.Dial(t, url)
	out.Send("40/nowhere,")
	out.Read()
	out.WantClosed()
	in.Send("41") // still there
	in.Join("")
}

// Handlers of one socket run one at a time, those of several beside each other.
func TestConcurrency(t *testing.T) {
	var mu sync.Mutex
	var once sync.Once
	running := make(map[string]bool)
	both := make(chan struct{})
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("enter", func(ctx context.Context, s *socketio.Socket, _ *socketio.Event) error {
			mu.Lock()
			if running[s.ID()] {
				t.Error("two handlers of one socket at a time")
			}
			running[s.ID()] = true
			if len(running) == 2 {
				once.Do(func() { close(both) })
			}
			mu.Unlock()
			<-both
			mu.Lock()
			defer mu.Unlock()
			running[s.ID()] = false
			return nil
		})
	})
	a, b := socketiotest.Dial(t, url), socketiotest.Dial(t, url)
	a.Join("")
	b.Join("")
	a.Send(`421["enter"]`)
	a.Send(`422["enter"]`)
	b.Send(`421["enter"]`)
	b.Want(`431[]`)
	a.Want(`431[]`, `432[]`)
}

// A client that has sent more than its handlers take is not read from, but its
// end ends them all the same.
func TestHandlersEndWithAFullInbox(t *testing.T) {
	ended := make(chan socketio.Reason, 1)
	_, url := serve(t, socketio.Options{Engine: quick()}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("wait", func(ctx context.Context, _ *socketio.Socket, _ *socketio.Event) error {
			<-ctx.Done()
			return nil
		})
		n.OnDisconnect(func(_ context.Context, _ *socketio.Socket, reason socketio.Reason) { ended <- reason })
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	for range 200 {
		c.Send(`42["wait"]`)
	}
	select {
	case reason := <-ended:
		if reason != "ping timeout" {
			t.Errorf("reason %q", reason)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no disconnect")
	}
}

func TestLogsNoSecrets(t *testing.T) {
	var logged strings.Builder
	_, url := serve(t, socketio.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, func(io *socketio.Server) {
		socketio.On(io.Of("/"), "fail", func(context.Context, *socketio.Socket, struct{}) error {
			return errors.New("disk is full")
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join(`{"token":"hunter2"}`)
	c.Send(`421["fail",{"password":"hunter2"}]`)
	c.Read()
	if got := logged.String(); !strings.Contains(got, "disk is full") || strings.Contains(got, "hunter2") {
		t.Errorf("logged %q", got)
	}
}
