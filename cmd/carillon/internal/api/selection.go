package api

import (
	"regexp"
	"strconv"

	"github.com/carillonhq/carillon/transport/socketio"
)

// socketID is the form of a socket's id.
var socketID = regexp.MustCompile(`^[A-Za-z0-9_-]{20}$`)

// A selection is the sockets that a request is about, on all nodes.
type selection struct {
	namespace string
	rooms     []string // in any of them; all sockets if there are none
	except    []string // and in none of these
}

// sockets is a list of ids.
func (b *body) sockets(name string) []string {
	ids := b.names(name, false)
	for i, id := range ids {
		if !socketID.MatchString(id) {
			b.fault([]string{name, strconv.Itoa(i)}, "%s is no socket's id", quote(id))
		}
	}
	return ids
}

// selection takes the fields that choose sockets. There must be some, unless
// open or "all" says that it may be all of them.
func (a *API) selection(b *body, open bool) selection {
	s := selection{namespace: b.text("namespace", false, checkNamespace)}
	if s.namespace == "" {
		s.namespace = "/"
	}
	s.rooms = a.roomsOf(b.names("users", false), b.names("rooms", false), b.sockets("sockets"))
	s.except = a.roomsOf(b.names("except_users", false), b.names("except", false), b.sockets("except_sockets"))
	if !open {
		a.chosen(b, len(s.rooms) > 0, "users, rooms, sockets")
	}
	return s
}

// chosen takes "all", which has to be set where nothing else is chosen, so that
// nobody reaches everybody by a list that happens to be empty.
func (a *API) chosen(b *body, some bool, names string) {
	switch all := b.flag("all"); {
	case all && some:
		b.fault([]string{"all"}, "does not go together with %s", names)
	case !all && !some:
		b.fault(nil, "choose by %s, or say \"all\": true", names)
	}
}

// roomsOf returns the rooms of Socket.IO in which those who are named are.
func (a *API) roomsOf(users, rooms, sockets []string) []string {
	all := make([]string, 0, len(users)+len(rooms)+len(sockets))
	for _, u := range users {
		all = append(all, a.opts.Names.User(u))
	}
	for _, r := range rooms {
		all = append(all, a.opts.Names.Room(r))
	}
	return append(all, sockets...)
}

// emitter returns what reaches the sockets selected.
func (a *API) emitter(s selection) (socketio.Emitter, error) {
	n, err := a.namespace(s.namespace)
	if err != nil {
		return socketio.Emitter{}, err
	}
	return n.To(s.rooms...).Except(s.except...), nil
}

func (a *API) namespace(name string) (*socketio.Namespace, error) {
	n := a.opts.Server.Lookup(name)
	if n == nil {
		return nil, problemf(noNamespace, "there is no namespace %s", quote(name))
	}
	return n, nil
}
