package announce

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Bounds on what clients say and ask.
const (
	maxStatus   = 64   // bytes of a status
	maxPage     = 1000 // users in one answer to presence:list
	defaultPage = 100
)

// Serve registers what clients may ask in a namespace. Who may ask is for the
// namespace's middlewares to say.
func (a *Announcer) Serve(n socketio.Registrar) {
	reply(a, n, "presence:get", a.get)
	reply(a, n, "presence:list", a.list)
	reply(a, n, "presence:watch", a.watch)
	reply(a, n, "presence:unwatch", a.unwatchAll)
	reply(a, n, "presence:update", a.update)
}

// reply is socketio.Reply where presence is not turned off.
func reply[A, R any](a *Announcer, n socketio.Registrar, event string, f func(*socketio.Socket, A) (R, error)) {
	socketio.Reply(n, event, func(_ context.Context, s *socketio.Socket, arg A) (R, error) {
		if a.opts.Mode == Off {
			var none R
			return none, errOff
		}
		return f(s, arg)
	})
}

var errOff = socketio.Errorf("off", "presence is turned off on this server")

type userState struct {
	User      string   `json:"user"`
	Online    bool     `json:"online"`
	Status    string   `json:"status,omitempty"`
	Devices   int      `json:"devices"`
	Instances []string `json:"instances"`
}

func stateOf(u presence.User) userState {
	if u.Nodes == nil {
		u.Nodes = []string{}
	}
	return userState{u.ID, u.Online, u.Status, u.Devices, u.Nodes}
}

type getAnswer struct {
	OK    bool        `json:"ok"`
	Seq   uint64      `json:"seq"`
	State string      `json:"state"`
	Users []userState `json:"users"`
}

// get tells of some users, whether they are online or not.
func (a *Announcer) get(_ *socketio.Socket, ids []string) (getAnswer, error) {
	if err := a.checkIDs(ids); err != nil {
		return getAnswer{}, err
	}
	return a.states(ids), nil
}

func (a *Announcer) states(ids []string) getAnswer {
	users, seq := a.users.Get(ids...)
	answer := getAnswer{OK: true, Seq: seq, State: a.users.State().String(), Users: make([]userState, 0, len(users))}
	for _, u := range users {
		answer.Users = append(answer.Users, stateOf(u))
	}
	return answer
}

func (a *Announcer) checkIDs(ids []string) error {
	switch {
	case len(ids) == 0:
		return socketio.Errorf("invalid", "a list of users expected")
	case len(ids) > a.opts.MaxWatch:
		return socketio.Errorf("invalid", "%d users, at most %d at once", len(ids), a.opts.MaxWatch)
	}
	for _, id := range ids {
		if id == "" || len(id) > presence.MaxID {
			return socketio.Errorf("invalid", "a user's name has 1 to %d bytes", presence.MaxID)
		}
	}
	return nil
}

type listQuestion struct {
	After string `json:"after"`
	Limit int    `json:"limit"`
	Room  string `json:"room"`
}

type listAnswer struct {
	OK       bool        `json:"ok"`
	Instance string      `json:"instance"`
	Mode     Mode        `json:"mode"`
	State    string      `json:"state"`
	Seq      uint64      `json:"seq"`
	Total    total       `json:"total"`
	Users    []userState `json:"users"`
	Next     string      `json:"next,omitempty"` // asks, as after, for the next page
}

type total struct {
	Users   int `json:"users"`
	Devices int `json:"devices,omitempty"`
}

// list tells of all users, page by page, or of those in a room.
func (a *Announcer) list(s *socketio.Socket, q listQuestion) (listAnswer, error) {
	if q.Limit < 0 || q.Limit > maxPage {
		return listAnswer{}, socketio.Errorf("invalid", "limit: 1 to %d expected, got %d", maxPage, q.Limit)
	}
	q.Limit = cmp.Or(q.Limit, defaultPage)
	a.mu.Lock()
	answer := listAnswer{OK: true, Instance: a.node, Mode: a.mode, State: a.users.State().String()}
	a.mu.Unlock()
	if a.opts.Mode == Rooms {
		return a.listRoom(s, q, answer)
	}
	page, err := a.users.Page(q.After, q.Limit)
	if errors.Is(err, presence.ErrCursor) {
		return listAnswer{}, socketio.Errorf("invalid", "after: not the next of an earlier answer")
	} else if err != nil {
		return listAnswer{}, err
	}
	counts := a.users.Counts()
	answer.Seq, answer.Next, answer.Total = page.Seq, page.Next, total{counts.Users, counts.Devices}
	answer.Users = make([]userState, 0, len(page.Users))
	for _, u := range page.Users {
		answer.Users = append(answer.Users, stateOf(u))
	}
	slices.SortFunc(answer.Users, func(x, y userState) int { return cmp.Compare(x.User, y.User) })
	return answer, nil
}

// listRoom tells a member of a room of the others.
func (a *Announcer) listRoom(s *socketio.Socket, q listQuestion, answer listAnswer) (listAnswer, error) {
	if q.Room == "" || !a.inRoom(s, q.Room) {
		return listAnswer{}, socketio.Errorf("not_in_room", "presence is told to the members of a room: join it, and name it as room")
	}
	users, n, seq := a.index.members(placeOf(s, q.Room), q.Limit)
	answer.Seq, answer.Total.Users = seq, n
	answer.Users = a.states(users).Users
	slices.SortFunc(answer.Users, func(x, y userState) int { return cmp.Compare(x.User, y.User) })
	return answer, nil
}

// watch adds to the users that a client hears of, and tells how they are. What
// changes from then on has a greater seq.
func (a *Announcer) watch(s *socketio.Socket, ids []string) (getAnswer, error) {
	if err := a.checkIDs(ids); err != nil {
		return getAnswer{}, err
	}
	a.mu.Lock()
	c := a.clients[s.ID()]
	if c == nil {
		a.mu.Unlock()
		return getAnswer{}, socketio.Errorf("invalid", "not connected")
	}
	var rooms, fresh []string
	for _, id := range ids {
		if _, ok := c.watches[id]; !ok && !slices.Contains(fresh, id) {
			fresh = append(fresh, id)
		}
		rooms = append(rooms, watchRoom(id))
	}
	if n := len(c.watches) + len(fresh); n > a.opts.MaxWatch {
		a.mu.Unlock()
		return getAnswer{}, socketio.Errorf("too_many", "that would be %d users watched, at most %d are possible", n, a.opts.MaxWatch)
	}
	if c.watches == nil {
		c.watches = make(map[string]struct{}, len(fresh))
	}
	for _, id := range fresh {
		c.watches[id] = struct{}{}
		a.watched[id]++
	}
	a.mu.Unlock()
	s.Join(rooms...) // before the states are read, so that no change falls between
	return a.states(ids), nil
}

type okAnswer struct {
	OK bool `json:"ok"`
}

// unwatchAll takes users out of those that a client hears of; without any, all.
func (a *Announcer) unwatchAll(s *socketio.Socket, ids []string) (okAnswer, error) {
	a.mu.Lock()
	c := a.clients[s.ID()]
	var rooms []string
	if c != nil {
		if len(ids) == 0 {
			for id := range c.watches {
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			if a.unwatch(c, id) {
				rooms = append(rooms, watchRoom(id))
			}
		}
	}
	a.mu.Unlock()
	s.Leave(rooms...)
	return okAnswer{true}, nil
}

// unwatch reports whether the client watched the user. It needs mu.
func (a *Announcer) unwatch(c *client, user string) bool {
	if _, ok := c.watches[user]; !ok {
		return false
	}
	delete(c.watches, user)
	if a.watched[user]--; a.watched[user] == 0 {
		delete(a.watched, user)
	}
	return true
}

type updateQuestion struct {
	Status *string `json:"status"`
}

// update sets the status of the client's own device.
func (a *Announcer) update(s *socketio.Socket, q updateQuestion) (okAnswer, error) {
	switch {
	case q.Status == nil:
		return okAnswer{}, socketio.Errorf("invalid", "status: a text expected, which may be empty")
	case len(*q.Status) > maxStatus:
		return okAnswer{}, socketio.Errorf("invalid", "status: longer than %d bytes", maxStatus)
	case !utf8.ValidString(*q.Status) || slices.ContainsFunc([]rune(*q.Status), unicode.IsControl):
		return okAnswer{}, socketio.Errorf("invalid", "status: holds characters that can't be printed")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.clients[s.ID()]
	if c == nil {
		return okAnswer{}, socketio.Errorf("invalid", "not connected")
	}
	meta := c.meta
	meta.Status = *q.Status
	if err := c.hold.Update(meta); err != nil && !errors.Is(err, presence.ErrGone) {
		return okAnswer{}, err
	}
	c.meta = meta
	return okAnswer{true}, nil
}
