package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// interopApp is the application of testdata/interop/app.mjs, word for word as
// far as Go allows: change both together.
func interopApp(t testing.TB, io *socketio.Server, lanes int) {
	for lane := range lanes {
		base := ""
		if lane > 0 {
			base = fmt.Sprintf("/l%d", lane)
		}
		a := &interopLane{t: t, names: make(map[string]*socketio.Namespace), present: make(map[string]interopPresence)}
		for _, short := range []string{"main", "chat", "guarded", "watch"} {
			name := base + "/" + short
			if short == "main" {
				name = base
			}
			a.names[short] = io.Of(name)
		}
		a.watch()
		for _, short := range []string{"main", "chat", "guarded"} {
			a.serve(short, a.names[short])
		}
	}
}

// interopLane is one lane's four namespaces, by their short names.
type interopLane struct {
	t     testing.TB
	names map[string]*socketio.Namespace

	mu      sync.Mutex // guards present
	present map[string]interopPresence
}

type interopPresence struct {
	socket *socketio.Socket
	gone   chan struct{} // closed when it is
}

func (a *interopLane) find(short, name string) (interopPresence, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.present[short+" "+name]
	return p, ok
}

func (a *interopLane) watch() {
	n := a.names["watch"]
	n.Handle("settle", func(context.Context, *socketio.Socket, *socketio.Event) error { return nil })
	n.Handle("gone", func(ctx context.Context, _ *socketio.Socket, e *socketio.Event) error {
		var short, name string
		if err := e.Bind(&short, &name); err != nil {
			return err
		}
		if p, ok := a.find(short, name); ok {
			select {
			case <-p.gone:
			case <-ctx.Done():
			}
		}
		return nil
	})
	n.Handle("who", func(_ context.Context, _ *socketio.Socket, e *socketio.Event) error {
		var short string
		var rooms []string
		if err := e.Bind(&short, &rooms); err != nil {
			return err
		}
		found := []string{}
		a.mu.Lock()
		for key, p := range a.present {
			if name, ok := strings.CutPrefix(key, short+" "); ok && slices.ContainsFunc(p.socket.Rooms(), func(r string) bool { return slices.Contains(rooms, r) }) {
				found = append(found, name)
			}
		}
		a.mu.Unlock()
		slices.Sort(found)
		return e.Ack(found)
	})
}

func (a *interopLane) serve(short string, n *socketio.Namespace) {
	type auth struct{ Name, Token string }
	read := func(s *socketio.Socket) (v auth) {
		if err := s.Handshake().Auth.Decode(&v); err != nil {
			a.t.Errorf("auth: %v", err)
		}
		if s.Handshake().Auth.IsNull() { // a client of Socket.IO 2 in "/"
			v.Name = s.Handshake().URL.Query().Get("name")
		}
		return v
	}
	if short == "guarded" {
		n.Use(func(_ context.Context, s *socketio.Socket) error {
			switch read(s).Token {
			case "bare":
				return &socketio.Error{Message: "no entry"}
			case "data":
				return &socketio.Error{Message: "not now", Data: map[string]any{"retry": 3, "why": []any{"a", nil, map[string]string{"b": "<&>"}}}}
			case "list":
				return &socketio.Error{Data: []any{1, "two"}}
			}
			s.Join("early")
			return nil
		})
	}
	n.OnConnect(func(_ context.Context, s *socketio.Socket) {
		name := read(s).Name
		if name == "" { // raw peers have none, and keep to themselves
			return
		}
		s.SetData(name)
		a.mu.Lock()
		a.present[short+" "+name] = interopPresence{s, make(chan struct{})}
		a.mu.Unlock()
		s.Join("lobby")
		s.Emit("welcome", s.Handshake().Auth)
		s.To("lobby").Emit("joined", name)
		n.To("early").Emit("early", name)
	})
	n.OnDisconnect(func(_ context.Context, s *socketio.Socket, reason socketio.Reason) {
		name := read(s).Name
		if name == "" {
			return
		}
		a.names["watch"].Emit("left", short, name, string(reason))
		a.mu.Lock()
		p := a.present[short+" "+name]
		delete(a.present, short+" "+name)
		a.mu.Unlock()
		close(p.gone)
	})
	n.Handle("settle", func(context.Context, *socketio.Socket, *socketio.Event) error { return nil })
	for _, event := range []string{"echo", "", "message", `ünï "q"`, "7"} {
		n.Handle(event, func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			if e.WantsAck() {
				return e.Ack(anys(e.Args)...)
			}
			return s.Emit(event, anys(e.Args)...)
		})
	}
	n.Handle("do", func(ctx context.Context, s *socketio.Socket, e *socketio.Event) error {
		var ops [][]socketio.Raw
		if err := e.Bind(&ops); err != nil {
			return err
		}
		results := []any{}
		for _, op := range ops {
			r, err := a.do(ctx, short, s, e, op)
			if err != nil {
				a.t.Errorf("%s: %v", op[0], err)
			}
			results = append(results, r...)
		}
		return e.Ack(results...)
	})
}

func anys(args []socketio.Raw) []any {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	return list
}

// interopTarget is whom an operation is for.
type interopTarget struct {
	From     string // "socket" (but not itself, if to or except are given), "broadcast", "nsp", "other"
	Nsp      string // for "other"
	To       []string
	Except   []string
	Volatile bool
}

// do carries out one operation of a "do" and returns its results.
func (a *interopLane) do(ctx context.Context, short string, s *socketio.Socket, e *socketio.Event, op []socketio.Raw) ([]any, error) {
	var (
		name, event string
		target      interopTarget
		names       []string
		flag        bool
	)
	bind := func(dst ...any) []any {
		if err := socketio.Args(op[1:]).Bind(dst...); err != nil {
			a.t.Errorf("operation %s: %v", name, err)
		}
		return anys(op[min(len(op), 1+len(dst)):])
	}
	if err := op[0].Decode(&name); err != nil {
		return nil, err
	}
	switch name {
	case "join", "leave":
		names = make([]string, len(op)-1)
		for i := range names {
			if err := op[1+i].Decode(&names[i]); err != nil {
				return nil, err
			}
		}
		if name == "join" {
			s.Join(names...)
		} else {
			s.Leave(names...)
		}
	case "rooms":
		names = s.Rooms()
		for i, r := range names {
			if r == s.ID() {
				names[i] = "@self"
			}
		}
		slices.Sort(names)
		return []any{names}, nil
	case "handshake":
		return handshakeResult(s), nil
	case "transport":
		return []any{s.Transport()}, nil
	case "emit":
		rest := bind(&event)
		if s.Emit(event, rest...) != nil && s.Connected() {
			return []any{"refused"}, nil
		}
	case "types":
		type nested struct {
			B []any  `json:"b"`
			A string `json:"a"`
		}
		s.Emit("types", 0, -1.5, 1<<53-1, 1e21, 5e-324, "<é\u2028\x00\"\\/😀>", true, false, nil, []int{}, struct{}{}, nested{[]any{1, map[string]any{"c": nil}}, "x"})
		s.Emit("binary", []byte{0, 1, 255}, map[string]any{"deep": []any{socketio.Binary("two"), "text"}, "z": socketio.Binary{}})
	case "send":
		rest := bind(&target, &event)
		if target.Volatile && target.From == "socket" && target.To == nil && target.Except == nil {
			_, err := s.EmitVolatile(event, rest...)
			return nil, err
		}
		return nil, a.emitter(short, s, target).Emit(event, rest...)
	case "count":
		bind(&target)
		n, err := a.emitter(short, s, target).Count(ctx)
		return []any{n}, err
	case "joinAll":
		bind(&target, &names)
		return nil, a.emitter(short, s, target).SocketsJoin(names...)
	case "leaveAll":
		bind(&target, &names)
		return nil, a.emitter(short, s, target).SocketsLeave(names...)
	case "ack":
		return nil, e.Ack(bind()...)
	case "ask":
		rest := bind(&event)
		answer, err := s.EmitWithAck(ctx, event, rest...)
		if err != nil {
			return nil, err
		}
		return nil, s.Emit("answer", anys(answer)...)
	case "askInVain":
		rest := bind(&event)
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := s.EmitWithAck(ctx, event, rest...); err != nil {
			return []any{"timeout"}, nil
		}
		return []any{"answered"}, nil
	case "kick":
		bind(&target, &flag)
		return nil, a.emitter(short, s, target).DisconnectSockets(flag)
	case "bye":
		bind(&flag)
		s.Disconnect(flag)
	default:
		return []any{"unknown " + name}, nil
	}
	return nil, nil
}

func (a *interopLane) emitter(short string, s *socketio.Socket, t interopTarget) socketio.Emitter {
	n := a.names[short]
	if t.From == "other" {
		n = a.names[t.Nsp]
	}
	e := n.To()
	if t.From == "socket" || t.From == "broadcast" {
		e = s.Broadcast()
	}
	rooms := func(names []string) (rooms []string) {
		for _, r := range names {
			if name, ok := strings.CutPrefix(r, "@"); ok {
				if p, ok := a.find(short, name); ok {
					r = p.socket.ID()
				}
			}
			rooms = append(rooms, r)
		}
		return rooms
	}
	e = e.To(rooms(t.To)...).Except(rooms(t.Except)...)
	if t.Volatile {
		e = e.Volatile()
	}
	return e
}

func handshakeResult(s *socketio.Socket) []any {
	b, err := s.Handshake().MarshalJSON()
	var h struct {
		Auth    json.RawMessage   `json:"auth"`
		Query   map[string]string `json:"query"`
		Headers map[string]string `json:"headers"`
		XDomain bool              `json:"xdomain"`
		Secure  bool              `json:"secure"`
		URL     string            `json:"url"`
	}
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err != nil {
		return []any{err.Error()}
	}
	optional := func(m map[string]string, key string) any {
		if v, ok := m[key]; ok {
			return v
		}
		return nil
	}
	path, _, _ := strings.Cut(h.URL, "?")
	return []any{map[string]any{
		"auth": h.Auth, "eio": h.Query["EIO"], "q": optional(h.Query, "q"), "header": optional(h.Headers, "x-test"),
		"xdomain": h.XDomain, "secure": h.Secure, "path": path,
	}}
}
