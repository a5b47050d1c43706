package api

import (
	"errors"

	"github.com/carillonhq/carillon/broker"
)

// Presence is what an API asks about users. It answers at once, from what this
// node knows of all nodes.
type Presence interface {
	// Find returns those of ids who are online, by ID.
	Find(ids []string) map[string]User

	// Users returns some users, sorted by ID: the first, or with after those that follow a page
	// that named it as next, at most limit; what asks for the next page, empty
	// after the last one; and how many are online in all. It fails for an after
	// that no page named.
	Users(after string, limit int) (users []User, next string, total int, err error)
}

// A User is somebody who is online.
type User struct {
	ID      string
	Status  string   // as a device says: "away", "busy"…; empty: none
	Devices int      // on all nodes
	Nodes   []string // that hold them
}

type present struct {
	User    string   `json:"user"`
	Status  string   `json:"status,omitempty"`
	Devices int      `json:"devices"`
	Nodes   []string `json:"nodes"`
}

func (u User) present() present {
	return present{u.ID, u.Status, u.Devices, append([]string{}, u.Nodes...)}
}

type userPage struct {
	Users   []present `json:"users"`
	Total   int       `json:"total"`
	Next    string    `json:"next,omitempty"`
	Missing []Missing `json:"missing"`
}

// getUsers lists who is online.
func (a *API) getUsers(r *request) (any, error) {
	after, limit := r.query.cursor(), r.query.limit()
	if err := r.query.done(); err != nil {
		return nil, err
	}
	users, following, total, err := a.opts.Presence.Users(after, limit)
	if err != nil {
		r.query.noCursor()
		return nil, r.query.done()
	}
	page := userPage{Users: []present{}, Total: total, Missing: a.stale()}
	if following != "" {
		page.Next = next(following)
	}
	for _, u := range users {
		page.Users = append(page.Users, u.present())
	}
	return page, nil
}

type asked struct {
	present
	Online bool `json:"online"`
}

type askedUsers struct {
	Users   []asked   `json:"users"` // in the order of the request
	Missing []Missing `json:"missing"`
}

// postQuery tells of users whether they are online.
func (a *API) postQuery(r *request) (any, error) {
	names := r.body.names("users", true)
	if err := errors.Join(r.query.done(), r.body.done()); err != nil {
		return nil, err
	}
	found := askedUsers{Users: []asked{}, Missing: a.stale()}
	users := a.opts.Presence.Find(names)
	for _, name := range names {
		u, online := users[name]
		u.ID = name
		found.Users = append(found.Users, asked{u.present(), online})
	}
	return found, nil
}

// stale returns the other nodes if nothing is heard of them at present: what
// is known of them may be old.
func (a *API) stale() []Missing {
	missing := []Missing{}
	if a.opts.Bus.State() == broker.Up {
		return missing
	}
	for _, m := range a.opts.Bus.Members() {
		missing = append(missing, Missing{m.Name, "unreachable"})
	}
	return missing
}
