package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// newAPI returns the HTTP API over what run wires.
func newAPI(cfg API, keys *api.Keys, io *socketio.Server, bus *broker.Bus, users *presence.Tracker, s *service, opts api.Options) *api.API {
	opts.Server, opts.Bus, opts.Keys = io, bus, keys
	opts.Presence = presentUsers{users}
	opts.Names = api.Names{
		Room:     namedRoom,
		User:     userRoom,
		RoomName: nameOfRoom,
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
	states, _ := p.Get(ids...)
	found := make(map[string]api.User, len(ids))
	for _, u := range states {
		if u.Online {
			found[u.ID] = present(u)
		}
	}
	return found
}

// Users implements api.Presence.
func (p presentUsers) Users(after string, limit int) (users []api.User, next string, total int, err error) {
	page, err := p.Page(after, limit)
	if err != nil {
		return nil, "", 0, err
	}
	for _, u := range page.Users {
		users = append(users, present(u))
	}
	slices.SortFunc(users, func(a, b api.User) int { return cmp.Compare(a.ID, b.ID) })
	return users, page.Next, p.Counts().Users, nil
}

func present(u presence.User) api.User {
	return api.User{ID: u.ID, Status: u.Status, Devices: u.Devices, Nodes: u.Nodes}
}
