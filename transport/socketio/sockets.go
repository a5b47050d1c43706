package socketio

// sockets are those of one client, by the name of their namespace. Most clients
// have one, and most servers' memory is that of silent clients: a map comes with
// the second. The zero value is ready for use.
type sockets struct {
	one  *Socket
	more map[string]*Socket // those beside one
}

// in returns the socket in a namespace, or nil.
func (s *sockets) in(namespace string) *Socket {
	if s.one != nil && s.one.namespace.name == namespace {
		return s.one
	}
	return s.more[namespace]
}

// put adds a socket, in the place of the one in its namespace.
func (s *sockets) put(x *Socket) {
	name := x.namespace.name
	switch {
	case s.more[name] != nil:
		s.more[name] = x
	case s.one == nil || s.one.namespace.name == name:
		s.one = x
	case s.more == nil:
		s.more = map[string]*Socket{name: x}
	default:
		s.more[name] = x
	}
}

// drop takes out a socket, if it is there.
func (s *sockets) drop(x *Socket) {
	if s.one == x {
		s.one = nil
	} else if name := x.namespace.name; s.more[name] == x {
		delete(s.more, name)
	}
}

// all returns them, in no order.
func (s *sockets) all() []*Socket {
	all := make([]*Socket, 0, 1+len(s.more))
	if s.one != nil {
		all = append(all, s.one)
	}
	for _, x := range s.more {
		all = append(all, x)
	}
	return all
}
