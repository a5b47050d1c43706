package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// service is what the server offers its clients: direct messages, rooms and
// who is online.
type service struct {
	io     *socketio.Namespace
	users  *presence.Tracker
	node   string
	logger *slog.Logger
	link   *link
	wg     sync.WaitGroup // acknowledgements that wait for other instances
}

// answerTimeout bounds the wait for other instances' answers.
const answerTimeout = 5 * time.Second

// maxName bounds the names of users and rooms, in bytes.
const maxName = 128

func newService(io *socketio.Server, bus *broker.Bus, users *presence.Tracker, logger *slog.Logger) *service {
	s := &service{
		io:     io.Of("/"),
		users:  users,
		node:   bus.Self().Name,
		logger: logger,
		link:   newLink(bus),
	}
	s.io.Use(s.identify)
	s.io.OnConnect(s.connected)
	s.io.OnDisconnect(s.disconnected)
	s.io.Handle("message", s.message)
	socketio.Reply(s.io, "room:join", s.joinRoom)
	socketio.Reply(s.io, "room:leave", s.leaveRoom)
	socketio.Reply(s.io, "room:message", s.roomMessage)
	socketio.Reply(s.io, "presence:list", s.listPresence)
	users.Watch(s.presenceChanged)
	return s
}

// Close waits for what is still to be acknowledged.
func (s *service) Close() {
	s.link.close()
	s.wg.Wait()
}

// The rooms of users and those that clients name are kept apart, from each
// other and from the sockets' own.
func userRoom(user string) string  { return "user:" + user }
func namedRoom(name string) string { return "room:" + name }

// device is what a socket's data is.
type device struct {
	User string `json:"user"`
}

func userOf(s *socketio.Socket) string {
	d, _ := s.Data().(device)
	return d.User
}

// identify is a middleware that takes the user from the handshake.
func (s *service) identify(_ context.Context, socket *socketio.Socket) error {
	var auth struct {
		User *string `json:"user"`
	}
	if a := socket.Handshake().Auth; !a.IsNull() && a.Decode(&auth) != nil {
		return socketio.Errorf("invalid_user", "auth.user: a string expected")
	}
	user := "anonymous-" + strings.ToLower(rand.Text()[:8])
	if auth.User != nil {
		user = *auth.User
		if err := checkName("auth.user", user); err != nil {
			err.Code = "invalid_user"
			return err
		}
	}
	socket.SetData(device{User: user})
	socket.Join(userRoom(user))
	return nil
}

// checkName refuses what can't be the name of a user or room.
func checkName(what, name string) *socketio.Error {
	switch {
	case name == "":
		return socketio.Errorf("invalid", "%s: a name expected", what)
	case len(name) > maxName:
		return socketio.Errorf("invalid", "%s: longer than %d bytes", what, maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return socketio.Errorf("invalid", "%s: holds characters that can't be printed", what)
	}
	return nil
}

type session struct {
	User     string `json:"user"`
	Instance string `json:"instance"`
	ID       string `json:"id"`
}

func (s *service) connected(_ context.Context, socket *socketio.Socket) {
	user := userOf(socket)
	// First of all the client learns who it is.
	if err := socket.Emit("session", session{User: user, Instance: s.node, ID: socket.ID()}); err != nil {
		s.logger.Debug("session not told", "socket", socket.ID(), "error", err)
	}
	s.users.Track(user, socket.ID())
}

func (s *service) disconnected(_ context.Context, socket *socketio.Socket, _ socketio.Reason) {
	s.users.Untrack(userOf(socket), socket.ID())
}

// presenceChanged tells this instance's clients; every instance does.
func (s *service) presenceChanged(c presence.Change) {
	event := "presence:offline"
	if c.Online {
		event = "presence:online"
	}
	user := struct {
		User string `json:"user"`
	}{c.User}
	if err := s.io.Local().Emit(event, user); err != nil && !errors.Is(err, adapter.ErrClosed) {
		s.logger.Error("presence not told", "error", err)
	}
}

type incoming struct {
	To   string       `json:"to"`
	Room string       `json:"room"`
	Data socketio.Raw `json:"data"`
}

type outgoing struct {
	ID   string       `json:"id"`
	Room string       `json:"room,omitempty"`
	From string       `json:"from"`
	Data socketio.Raw `json:"data"`
	At   int64        `json:"at"` // Unix time in milliseconds
}

func newOutgoing(from *socketio.Socket, m incoming) outgoing { return newMessage(userOf(from), m) }

func newMessage(from string, m incoming) outgoing {
	return outgoing{ID: rand.Text(), Room: m.Room, From: from, Data: m.Data, At: time.Now().UnixMilli()}
}

type messageAnswer struct {
	OK      bool     `json:"ok"`
	ID      string   `json:"id"`
	Devices int      `json:"devices"`
	Missing []string `json:"missing,omitempty"` // instances that did not tell their number in time
}

// message sends to all devices of a user. The count of devices may take a
// round trip to the other instances; the socket's next event does not wait.
func (s *service) message(_ context.Context, socket *socketio.Socket, e *socketio.Event) error {
	var m incoming
	if err := e.Bind(&m); err != nil {
		return err
	}
	if err := checkName("to", m.To); err != nil {
		return err
	}
	m.Room = ""
	out := newOutgoing(socket, m)
	to := s.io.To(userRoom(m.To))
	if !e.WantsAck() {
		return public(to.Emit("message", out))
	}
	receipt, err := to.Deliver("message", out)
	if err != nil {
		return err
	}
	e.Defer()
	s.wg.Go(func() { // ends within answerTimeout
		ctx, cancel := s.link.timeout(answerTimeout)
		defer cancel()
		devices, err := receipt.Wait(ctx)
		answer := messageAnswer{OK: true, ID: out.ID, Devices: devices}
		if partial, ok := errors.AsType[*adapter.PartialError](err); ok {
			for _, m := range partial.Missing {
				answer.Missing = append(answer.Missing, m.Node)
			}
		} else if err != nil {
			e.Fail(public(err))
			return
		}
		if err := e.Ack(answer); err != nil && !errors.Is(err, socketio.ErrDisconnected) {
			s.logger.Error("message not acknowledged", "error", err)
		}
	})
	return nil
}

// public says in a client's words why other instances will not get a message.
func public(err error) error {
	if errors.Is(err, broker.ErrOverflow) {
		return socketio.Errorf("unavailable", "delivered on this instance only: too much waits for the broker")
	}
	return err
}

type roomAnswer struct {
	OK   bool   `json:"ok"`
	Room string `json:"room"`
}

func (s *service) joinRoom(_ context.Context, socket *socketio.Socket, name string) (any, error) {
	if err := checkName("room", name); err != nil {
		return nil, err
	}
	socket.Join(namedRoom(name))
	return roomAnswer{OK: true, Room: name}, nil
}

func (s *service) leaveRoom(_ context.Context, socket *socketio.Socket, name string) (any, error) {
	if err := checkName("room", name); err != nil {
		return nil, err
	}
	socket.Leave(namedRoom(name))
	return roomAnswer{OK: true, Room: name}, nil
}

// roomMessage sends to all members of a room that the sender is in, the
// sender included, so that all of them see the same conversation.
func (s *service) roomMessage(_ context.Context, socket *socketio.Socket, m incoming) (any, error) {
	if err := checkName("room", m.Room); err != nil {
		return nil, err
	}
	if !slices.Contains(socket.Rooms(), namedRoom(m.Room)) {
		return nil, socketio.Errorf("not_in_room", "join the room %q first", m.Room)
	}
	out := newOutgoing(socket, m)
	if err := s.io.To(namedRoom(m.Room)).Emit("room:message", out); err != nil {
		return nil, public(err)
	}
	return struct {
		OK bool   `json:"ok"`
		ID string `json:"id"`
	}{true, out.ID}, nil
}

type presentUser struct {
	User      string   `json:"user"`
	Devices   int      `json:"devices"`
	Instances []string `json:"instances"`
}

func (s *service) listPresence(context.Context, *socketio.Socket, socketio.Raw) (any, error) {
	users := []presentUser{}
	for _, u := range s.users.Users() {
		users = append(users, presentUser{User: u.ID, Devices: u.Devices, Instances: u.Nodes})
	}
	return struct {
		OK       bool          `json:"ok"`
		Instance string        `json:"instance"`
		Users    []presentUser `json:"users"`
	}{true, s.node, users}, nil
}
