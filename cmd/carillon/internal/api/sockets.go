package api

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/carillonhq/carillon/transport/socketio"
)

// Steered is the answer to what makes sockets do something.
type steered struct {
	Sockets int       `json:"sockets"` // that were selected just before
	Missing []Missing `json:"missing"` // nodes that did not tell their number; they do it all the same
}

// postJoin makes sockets join rooms.
func (a *API) postJoin(r *request) (any, error) {
	return a.steer(r, func(e socketio.Emitter, rooms []string) error { return e.SocketsJoin(rooms...) }, "join")
}

// postLeave makes sockets leave rooms.
func (a *API) postLeave(r *request) (any, error) {
	return a.steer(r, func(e socketio.Emitter, rooms []string) error { return e.SocketsLeave(rooms...) }, "leave")
}

func (a *API) steer(r *request, do func(e socketio.Emitter, rooms []string) error, field string) (any, error) {
	s := a.selection(&r.body, false)
	rooms := a.roomsOf(nil, r.body.names(field, true), nil)
	if err := errors.Join(r.query.done(), r.body.done()); err != nil {
		return nil, err
	}
	return a.counted(r, s, func(e socketio.Emitter) error { return do(e, rooms) })
}

// postDisconnect disconnects sockets, behind all that was sent to them.
func (a *API) postDisconnect(r *request) (any, error) {
	s := a.selection(&r.body, false)
	close := r.body.flag("close")
	if err := errors.Join(r.query.done(), r.body.done()); err != nil {
		return nil, err
	}
	return a.counted(r, s, func(e socketio.Emitter) error { return e.DisconnectSockets(close) })
}

// deleteSockets ends all connections of a user.
func (a *API) deleteSockets(r *request) (any, error) {
	if what := checkName(r.segment); what != "" {
		r.query.fault("user", what)
	}
	if err := r.query.done(); err != nil {
		return nil, err
	}
	s := selection{namespace: "/", rooms: []string{a.opts.Names.User(r.segment)}}
	return a.counted(r, s, func(e socketio.Emitter) error { return e.DisconnectSockets(true) })
}

// counted counts the sockets selected, and then does something to them.
func (a *API) counted(r *request, s selection, do func(socketio.Emitter) error) (any, error) {
	e, err := a.emitter(s)
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.wait(r)
	defer cancel()
	n, err := e.Count(ctx)
	missing, err := a.missing(err)
	if err != nil {
		return nil, err
	}
	if err := do(e); err != nil {
		return nil, sendProblem(err)
	}
	return steered{Sockets: n, Missing: append([]Missing{}, missing...)}, nil
}

// A Socket is one client in one namespace.
type socket struct {
	ID        string   `json:"id"`
	User      string   `json:"user"`
	Node      string   `json:"node"`
	Transport string   `json:"transport"`
	Rooms     []string `json:"rooms"` // by the names that clients give them
}

type socketPage struct {
	Sockets []socket  `json:"sockets"`
	Total   int       `json:"total"` // on all pages
	Next    string    `json:"next,omitempty"`
	Missing []Missing `json:"missing"`
}

// getSockets lists sockets of all nodes, by their ids. Each node tells no more
// than a page.
func (a *API) getSockets(r *request) (any, error) {
	q := question{Ask: "sockets", Namespace: r.query.name("namespace", "/", checkNamespace)}
	if user := r.query.name("user", "", checkName); user != "" {
		q.Rooms = append(q.Rooms, a.opts.Names.User(user))
	}
	if room := r.query.name("room", "", checkName); room != "" {
		q.Rooms = append(q.Rooms, a.opts.Names.Room(room))
	}
	q.After, q.Limit = r.query.cursor(), r.query.limit()
	if err := r.query.done(); err != nil {
		return nil, err
	}
	if _, err := a.namespace(q.Namespace); err != nil {
		return nil, err
	}
	pages, missing, err := gather(a, r, q, func() socketPage { return a.localSockets(q) })
	if err != nil {
		return nil, err
	}
	all := socketPage{Sockets: []socket{}, Missing: append([]Missing{}, missing...)}
	more := false
	for _, p := range pages {
		all.Sockets = append(all.Sockets, p.Sockets...)
		all.Total += p.Total
		more = more || p.Next != ""
	}
	slices.SortFunc(all.Sockets, func(s, o socket) int { return cmp.Compare(s.ID, o.ID) })
	if len(all.Sockets) > q.Limit {
		all.Sockets, more = all.Sockets[:q.Limit], true
	}
	if more {
		all.Next = next(all.Sockets[len(all.Sockets)-1].ID)
	}
	return all, nil
}

// localSockets is this node's page.
func (a *API) localSockets(q question) socketPage {
	n := a.opts.Server.Lookup(q.Namespace)
	if n == nil {
		return socketPage{}
	}
	ids := localIDs(n, q.Rooms)
	page := socketPage{Total: len(ids)}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id <= q.After })
	slices.Sort(ids)
	if len(ids) > q.Limit {
		ids, page.Next = ids[:q.Limit], "more"
	}
	node := a.opts.Bus.Self().Name
	for _, id := range ids {
		s := n.Socket(id)
		if s == nil {
			continue // it has just gone
		}
		found := socket{ID: id, User: a.opts.UserOf(s), Node: node, Transport: s.Transport(), Rooms: []string{}}
		for _, room := range s.Rooms() {
			if name, ok := a.opts.Names.RoomName(room); ok {
				found.Rooms = append(found.Rooms, name)
			}
		}
		page.Sockets = append(page.Sockets, found)
	}
	return page
}

// localIDs returns the sockets of this node that are in all of rooms.
func localIDs(n *socketio.Namespace, rooms []string) []string {
	var ids []string
	if len(rooms) == 0 {
		for s := range n.Sockets() {
			ids = append(ids, s.ID())
		}
		return ids
	}
	// Of this node alone: it waits for nothing. What can't be told is left out.
	found, _ := n.Local().To(rooms[0]).FetchSockets(context.Background())
	for _, s := range found {
		if !slices.ContainsFunc(rooms[1:], func(room string) bool { return !slices.Contains(s.Rooms, room) }) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
