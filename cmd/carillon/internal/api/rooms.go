package api

import (
	"maps"
	"slices"
	"strings"
)

type room struct {
	Room    string `json:"room"`
	Sockets int    `json:"sockets"`
}

type roomPage struct {
	Rooms   []room    `json:"rooms"`
	Next    string    `json:"next,omitempty"`
	Missing []Missing `json:"missing"`
}

// getRooms lists the rooms that clients have joined, on all nodes.
func (a *API) getRooms(r *request) (any, error) {
	q := question{Ask: "rooms", Namespace: r.query.name("namespace", "/", checkNamespace)}
	q.Prefix = r.query.name("prefix", "", checkName)
	q.After, q.Limit = r.query.cursor(), r.query.limit()
	if err := r.query.done(); err != nil {
		return nil, err
	}
	if _, err := a.namespace(q.Namespace); err != nil {
		return nil, err
	}
	pages, missing, err := gather(a, r, q, func() roomPage { return a.localRooms(q) })
	if err != nil {
		return nil, err
	}
	// What is among the first of all nodes is among the first of each node that
	// has it: so the counts of this page are complete.
	sockets := make(map[string]int)
	more := false
	for _, p := range pages {
		for _, found := range p.Rooms {
			sockets[found.Room] += found.Sockets
		}
		more = more || p.Next != ""
	}
	names := slices.Sorted(maps.Keys(sockets))
	all := roomPage{Rooms: []room{}, Missing: append([]Missing{}, missing...)}
	if len(names) > q.Limit {
		names, more = names[:q.Limit], true
	}
	for _, name := range names {
		all.Rooms = append(all.Rooms, room{name, sockets[name]})
	}
	if more {
		all.Next = next(names[len(names)-1])
	}
	return all, nil
}

// localRooms is this node's page.
func (a *API) localRooms(q question) roomPage {
	n := a.opts.Server.Lookup(q.Namespace)
	if n == nil {
		return roomPage{}
	}
	sockets := make(map[string]int)
	for joined, count := range n.Rooms() {
		name, ok := a.opts.Names.RoomName(joined)
		if ok && name > q.After && strings.HasPrefix(name, q.Prefix) {
			sockets[name] = count
		}
	}
	names := slices.Sorted(maps.Keys(sockets))
	var page roomPage
	if len(names) > q.Limit {
		names, page.Next = names[:q.Limit], "more"
	}
	for _, name := range names {
		page.Rooms = append(page.Rooms, room{name, sockets[name]})
	}
	return page
}
