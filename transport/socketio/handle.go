package socketio

import "context"

// On registers a typed handler: the event's first argument is decoded into A,
// a value that can't be is an error of code "invalid" for the client, and one
// that is missing leaves A zero. Use Raw for an argument that is only passed
// on, and Namespace.Handle for an event of several arguments.
func On[A any](n Registrar, event string, h func(ctx context.Context, s *Socket, arg A) error) {
	n.Handle(event, func(ctx context.Context, s *Socket, e *Event) error {
		var arg A
		if err := e.Bind(&arg); err != nil {
			return err
		}
		return h(ctx, s, arg)
	})
}

// Reply is On for a handler whose result is the acknowledgement.
func Reply[A, R any](n Registrar, event string, h func(ctx context.Context, s *Socket, arg A) (R, error)) {
	n.Handle(event, func(ctx context.Context, s *Socket, e *Event) error {
		var arg A
		if err := e.Bind(&arg); err != nil {
			return err
		}
		result, err := h(ctx, s, arg)
		if err != nil {
			return err
		}
		return e.Ack(result)
	})
}

// receive takes an event from the client, and waits while the inbox is full.
func (s *Socket) receive(e *Event) {
	n := s.namespace
	n.count(n.hooks().Received)
	h := n.current.Load()
	f := h.events[e.Name]
	if f == nil {
		s.logger().Debug("no handler for event", "event", e.Name)
		if unhandled := n.hooks().Unhandled; unhandled != nil {
			unhandled(n.name, e.Name)
		}
		if len(h.anyIn) == 0 && len(h.useEvent) == 0 {
			return
		}
	}
	s.inbox.push(&n.server.crew, false, func() { s.handle(h, f, e) })
}

// handle shows an event to all that want to see it, and f, if there is one,
// last.
func (s *Socket) handle(h *handlers, f Handler, e *Event) {
	tracer := s.namespace.server.opts.Tracer
	if tracer == nil || f == nil {
		s.show(s.ctx, h, f, e)
		return
	}
	ctx, done := tracer.Receive(s.ctx, s, e.Name)
	done(s.show(ctx, h, f, e))
}

// show is handle with the ctx that all get. It returns why f failed, or did not
// get the event.
func (s *Socket) show(ctx context.Context, h *handlers, f Handler, e *Event) error {
	for _, f := range h.anyIn {
		s.protect("incoming listener", func() error { f(ctx, s, e); return nil })
	}
	for _, use := range h.useEvent {
		if err := s.protect("event middleware", func() error { return use(ctx, s, e) }); err != nil {
			if refused := s.namespace.hooks().EventRefused; refused != nil {
				refused(s.namespace.name, e.Name, err)
			}
			e.Fail(err)
			return err
		}
	}
	if f == nil {
		return nil
	}
	err := s.protect("event handler", func() error { return f(ctx, s, e) })
	switch {
	case err != nil:
		e.Fail(err)
	case !e.deferred:
		e.Ack()
	}
	return err
}
