package main

import (
	"context"
	"log/slog"
	"strings"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/console"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

func openConsole(bus *broker.Bus, io *socketio.Server, users *presence.Tracker, meter *console.Meter, logger *slog.Logger) *console.Console {
	return console.New(bus, io, users, meter, console.Options{
		Version: release(),
		Room:    func(room string) bool { _, ok := nameOfRoom(room); return ok },
		User:    func(room string) bool { return strings.HasPrefix(room, userRoom("")) },
		Logger:  logger,
	})
}

// serveConsole lets those watch c who may see who is online. They are not online
// by that.
func (s *service) serveConsole(c *console.Console) {
	n := s.server.Of(console.Namespace)
	n.Use(s.identify)
	n.Use(func(_ context.Context, socket *socketio.Socket) error {
		if blind(socket) {
			return s.forbidden("presence", "not allowed to see who is online")
		}
		return nil
	})
	n.UseEvent(s.permit)
	n.OnConnect(func(_ context.Context, socket *socketio.Socket) {
		d := deviceOf(socket)
		d.lease.renew(d.identity.Expires)
		c.Connected(socket)
	})
	n.OnDisconnect(func(_ context.Context, socket *socketio.Socket, _ socketio.Reason) {
		deviceOf(socket).lease.end()
		c.Disconnected()
	})
	s.who.Serve(n)
	socketio.Reply(n, "auth:refresh", func(ctx context.Context, socket *socketio.Socket, arg socketio.Raw) (any, error) {
		answer, err := s.refresh(ctx, socket, arg)
		if err == nil && blind(socket) {
			socket.Disconnect(false)
			return nil, s.forbidden("presence", "not allowed to see who is online any more")
		}
		return answer, err
	})
}
