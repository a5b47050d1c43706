package main

import (
	"log/slog"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

func presenceOptions(cfg Config, logger *slog.Logger) presence.Options {
	opts := presence.Options{Grace: cfg.Presence.Grace, Heartbeat: cfg.Broker.Heartbeat, Logger: logger}
	if opts.Grace == 0 {
		opts.Grace = -1 // none, where 0 is the default
	}
	return opts
}

// announceOptions returns what an Announcer needs, and how to end it once the
// Announcer is closed.
func announceOptions(cfg Config, bus *broker.Bus, logger *slog.Logger) (opts announce.Options, end func() error) {
	opts = announce.Options{
		Mode:     announce.Mode(cfg.Presence.Mode),
		Window:   cfg.Presence.Window,
		MaxUsers: cfg.Presence.MaxUsers,
		MaxWatch: cfg.Presence.MaxWatch,
		Room:     nameOfRoom,
		RoomName: namedRoom,
		Blind:    blind,
		Logger:   logger,
	}
	end = func() error { return nil }
	if opts.Mode == announce.Rooms {
		pairs := presenceOptions(cfg, logger)
		pairs.Channel = "presence.rooms"
		opts.Rooms = presence.New(bus, pairs)
		end = opts.Rooms.Close
	}
	return opts, end
}

// blind reports whether a socket may not see presence.
func blind(s *socketio.Socket) bool { return !deviceOf(s).identity.Presence }
