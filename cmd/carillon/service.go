package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/cmd/carillon/internal/glob"
	"github.com/carillonhq/carillon/transport/socketio"
)

// service is what the server offers its clients: direct messages, rooms and,
// by an Announcer, who is online.
type service struct {
	server *socketio.Server
	io     *socketio.Namespace
	who    *announce.Announcer
	node   string
	gate   *gate
	told   *events
	logger *slog.Logger
	link   *link
	wg     sync.WaitGroup // acknowledgements that wait for other instances
}

// answerTimeout bounds the wait for other instances' answers.
const answerTimeout = 5 * time.Second

func newService(io *socketio.Server, bus *broker.Bus, who *announce.Announcer, gate *gate, told *events, logger *slog.Logger) *service {
	s := &service{
		server: io,
		io:     io.Of("/"),
		who:    who,
		node:   bus.Self().Name,
		gate:   gate,
		told:   told,
		logger: logger,
		link:   newLink(bus),
	}
	s.serve(s.io)
	if names := gate.cfg.Load().Server.Namespaces; len(names) > 0 {
		s.serve(io.OfFunc(func(_ context.Context, name string, _ *socketio.Handshake) bool {
			return glob.MatchAny(names, name)
		}))
	}
	return s
}

// A namespace is one, or the parent of some.
type namespace interface {
	socketio.Registrar
	Handles(event string) bool
	Use(func(context.Context, *socketio.Socket) error)
	UseEvent(func(context.Context, *socketio.Socket, *socketio.Event) error)
	OnConnect(func(context.Context, *socketio.Socket))
	OnDisconnect(func(context.Context, *socketio.Socket, socketio.Reason))
}

// serve registers what is offered in a namespace, or in all that a parent makes.
func (s *service) serve(n namespace) {
	n.Use(s.identify)
	n.UseEvent(s.permit)
	n.OnConnect(s.connected)
	n.OnDisconnect(s.disconnected)
	n.Handle("message", s.message)
	socketio.Reply(n, "room:join", s.joinRoom)
	socketio.Reply(n, "room:leave", s.leaveRoom)
	socketio.Reply(n, "room:message", s.roomMessage)
	s.who.Serve(n)
	socketio.Reply(n, "auth:refresh", s.refresh)
	s.told.serve(n)
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

// nameOfRoom is the name by which clients know a room, if they do.
func nameOfRoom(room string) (string, bool) { return strings.CutPrefix(room, namedRoom("")) }

// checkName refuses what can't be the name of a user or room.
func checkName(what, name string) error {
	if err := auth.CheckName(what, name); err != nil {
		return publicAuth(err)
	}
	return nil
}

type session struct {
	User     string `json:"user"`
	Device   string `json:"device,omitempty"`
	Instance string `json:"instance"`
	ID       string `json:"id"`
}

func (s *service) connected(_ context.Context, socket *socketio.Socket) {
	d := deviceOf(socket)
	// First of all the client learns who it is, and where.
	if err := socket.EmitUnkept("session", session{User: d.User, Device: d.Name, Instance: s.node, ID: socket.ID()}); err != nil {
		s.logger.Debug("session not told", "socket", socket.ID(), "error", err)
	}
	d.lease.renew(d.identity.Expires)
	s.who.Connected(socket, d.User, d.Name)
}

func (s *service) disconnected(_ context.Context, socket *socketio.Socket, reason socketio.Reason) {
	deviceOf(socket).lease.end()
	s.who.Disconnected(socket, reason)
}

type messageAnswer struct {
	OK      bool     `json:"ok"`
	ID      string   `json:"id"`
	Devices int      `json:"devices"`
	Missing []string `json:"missing,omitempty"` // instances that did not tell their number in time
}

// message sends to all devices of a user. The count of devices may take a
// round trip to the other instances; the socket's next event does not wait.
func (s *service) message(ctx context.Context, socket *socketio.Socket, e *socketio.Event) error {
	var m incoming
	if err := e.Bind(&m); err != nil {
		return err
	}
	if err := checkName("to", m.To); err != nil {
		return err
	}
	m.Room = ""
	out := newOutgoing(socket, m)
	to := socket.Namespace().To(userRoom(m.To)).Context(ctx)
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
	if id := deviceOf(socket).identity; !id.MayJoin(name) {
		return nil, s.forbidden("join", "not allowed to join the room %q", name)
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
func (s *service) roomMessage(ctx context.Context, socket *socketio.Socket, m incoming) (any, error) {
	if err := checkName("room", m.Room); err != nil {
		return nil, err
	}
	if !slices.Contains(socket.Rooms(), namedRoom(m.Room)) {
		return nil, socketio.Errorf("not_in_room", "join the room %q first", m.Room)
	}
	out := newOutgoing(socket, m)
	if err := socket.Namespace().To(namedRoom(m.Room)).Context(ctx).Emit("room:message", out); err != nil {
		return nil, public(err)
	}
	return struct {
		OK bool   `json:"ok"`
		ID string `json:"id"`
	}{true, out.ID}, nil
}
