package socketio

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"

	"github.com/carillonhq/carillon/adapter"
)

// A ParentNamespace makes namespaces as clients ask for them: its children. A
// child begins with the middlewares and handlers that its parent has at that
// time; what is registered with either later is not seen by the other. All
// methods may be called concurrently.
//
// Which children exist differs from node to node: a node makes one when the
// first of its own clients asks for it, so there is nobody to fetch the sockets
// of all children from. Server.Of(name) reaches one child on all nodes.
type ParentNamespace struct {
	registry
	server *Server
	match  func(ctx context.Context, name string, h *Handshake) bool
	re     *regexp.Regexp // where the name alone decides

	children map[string]*Namespace // guarded by server.mu
}

// maxChildName bounds the name of a namespace that a client makes, in bytes.
const maxChildName = 256

// OfFunc returns the parent of the namespaces that match accepts by their name
// and by what the client who asks for it says of itself. A client who asks for
// a namespace that does not exist is offered to the parents in the order of
// their making; if none accepts, it is told "Invalid namespace". match may wait
// (the client is not read from meanwhile); ctx ends when the client is gone. It is
// asked with an empty Handshake for a socket that another node, which stops, would
// have this one adopt: without its namespace it is not.
func (s *Server) OfFunc(match func(ctx context.Context, name string, h *Handshake) bool) *ParentNamespace {
	return s.newParent(&ParentNamespace{match: match})
}

// OfRegexp is OfFunc for the names that re matches; put ^ and $ in it. Of makes
// such a namespace, too, as a child of this parent.
func (s *Server) OfRegexp(re *regexp.Regexp) *ParentNamespace {
	return s.newParent(&ParentNamespace{
		match: func(_ context.Context, name string, _ *Handshake) bool { return re.MatchString(name) },
		re:    re,
	})
}

func (s *Server) newParent(p *ParentNamespace) *ParentNamespace {
	p.server, p.children = s, make(map[string]*Namespace)
	p.current.Store(new(handlers))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parents = append(slices.Clip(s.parents), p)
	return p
}

// Namespaces returns the children that exist on this node, in no order.
func (p *ParentNamespace) Namespaces() []*Namespace {
	p.server.mu.RLock()
	defer p.server.mu.RUnlock()
	return slices.Collect(maps.Values(p.children))
}

// Emit sends an event to all sockets of the children that exist on this node:
// of those children, it reaches the sockets of other nodes, too.
func (p *ParentNamespace) Emit(event string, args ...any) error {
	var errs []error
	for _, n := range p.Namespaces() {
		if err := n.Emit(event, args...); !errors.Is(err, adapter.ErrClosed) { // or it was dropped meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// accepts calls match, and takes its panic for a refusal.
func (p *ParentNamespace) accepts(ctx context.Context, name string, h *Handshake) (ok bool) {
	p.server.guard("namespace function", func() { ok = p.match(ctx, name, h) })
	return ok
}

// OnNamespace adds a function that is called for each namespace but "/" that
// is made from then on, by Of or as a child, before any client is let in.
func (s *Server) OnNamespace(f func(n *Namespace)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onNamespace = append(slices.Clip(s.onNamespace), f)
}

// announce calls OnNamespace's functions, once, and waits for them.
func (s *Server) announce(n *Namespace) {
	n.born.Do(func() {
		s.mu.RLock()
		fs := s.onNamespace
		s.mu.RUnlock()
		for _, f := range fs {
			s.guard("namespace hook", func() { f(n) })
		}
	})
}

// enter returns the namespace that a client asks for, and makes it if a parent
// wants it. The namespace stays until exit.
func (s *Server) enter(ctx context.Context, name string, h *Handshake) (*Namespace, error) {
	s.mu.Lock()
	n, parents := s.namespaces[name], s.parents
	if n != nil {
		n.users++
	}
	s.mu.Unlock()
	if n == nil {
		var err error
		if n, err = s.enterNew(ctx, parents, name, h); err != nil {
			return nil, err
		}
	}
	s.announce(n)
	return n, nil
}

func (s *Server) enterNew(ctx context.Context, parents []*ParentNamespace, name string, h *Handshake) (*Namespace, error) {
	if len(name) > maxChildName {
		return nil, ErrNoNamespace
	}
	i := slices.IndexFunc(parents, func(p *ParentNamespace) bool { return p.accepts(ctx, name, h) })
	if i < 0 || ctx.Err() != nil {
		return nil, ErrNoNamespace
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.namespaces[name] // made meanwhile
	if n == nil {
		if s.children >= s.opts.MaxNamespaces {
			return nil, ErrTooManyNamespaces
		}
		n = s.create(name, parents[i])
	}
	n.users++
	return n, nil
}

// create makes a namespace. It needs mu.
func (s *Server) create(name string, parent *ParentNamespace) *Namespace {
	n := newNamespace(s, name, s.opts.Adapter(name))
	s.namespaces[name] = n
	if parent != nil {
		n.parent = parent
		n.current.Store(parent.current.Load())
		parent.children[name] = n
		s.children++
	}
	n.adapter.HandleNodes(n.hear)
	s.recovery.record(n)
	return n
}

// stay is enter for a namespace that a socket is in already.
func (s *Server) stay(n *Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.users++
}

// exit undoes enter, when all handlers of the socket have returned.
func (s *Server) exit(n *Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.users--
	if n.users > 0 || n.parent == nil || !s.opts.CleanupEmptyNamespaces {
		return
	}
	delete(s.namespaces, n.name)
	delete(n.parent.children, n.name)
	s.children--
	n.stop()
	// Under mu: who makes the namespace again must not get this adapter.
	if err := n.adapter.Close(); err != nil {
		s.logger.Warn("adapter of a namespace did not close", "namespace", n.name, "error", err)
	}
}
