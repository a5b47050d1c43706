package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// newAPI returns the HTTP API over what run wires.
func newAPI(cfg API, keys *api.Keys, io *socketio.Server, bus *broker.Bus, s *service, opts api.Options) *api.API {
	opts.Server, opts.Bus, opts.Keys = io, bus, keys
	opts.Presence = presentUsers{s.users}
	opts.Names = api.Names{
		Room:     namedRoom,
		User:     userRoom,
		RoomName: func(room string) (string, bool) { return strings.CutPrefix(room, namedRoom("")) },
	}
	opts.UserOf = userOf
	opts.Message = func(from string, data socketio.Raw) (string, any) {
		out := newMessage(from, incoming{Data: data})
		return out.ID, out
	}
	opts.Wait = func() (context.Context, context.CancelFunc) { return s.link.timeout(cfg.Timeout) }
	opts.MaxBody = int(cfg.MaxBody)
	opts.IdempotencyTTL, opts.IdempotencyKeys = cfg.IdempotencyTTL, cfg.IdempotencyKeys
	opts.Version = release()
	return api.New(opts)
}

// presentUsers is presence as the API asks for it.
type presentUsers struct{ *presence.Tracker }

// Find implements api.Presence.
func (p presentUsers) Find(ids []string) map[string]api.User {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !p.Online(id) })
	if len(ids) == 0 {
		return nil
	}
	all := p.Tracker.Users() // sorted
	found := make(map[string]api.User, len(ids))
	for _, id := range ids {
		at, ok := slices.BinarySearchFunc(all, id, func(u presence.User, id string) int { return cmp.Compare(u.ID, id) })
		if ok {
			found[id] = api.User(all[at])
		}
	}
	return found
}

// Users implements api.Presence.
func (p presentUsers) Users(after string, limit int) (page []api.User, total int) {
	all := p.Tracker.Users()
	for _, u := range all {
		if u.ID > after && len(page) < limit {
			page = append(page, api.User(u))
		}
	}
	return page, len(all)
}
