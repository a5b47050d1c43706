package socketio

// start lets the socket in, or refuses it: the first job of its inbox.
func (s *Socket) start() {
	if s.client.ctx.Err() != nil { // perhaps since before client.cancel could find s
		s.cancel()
	}
	h := s.namespace.current.Load()
	use := h.use
	if s.recovered {
		if !s.namespace.server.recovery.opts.Middlewares {
			use = nil
		} else if before := s.seat.vacate(s.term); before != nil {
			<-before.over
		}
	}
	for _, use := range use {
		if err := s.protect("middleware", func() error { return use(s.ctx, s) }); err != nil {
			s.refuse(err)
			return
		}
	}
	if !s.admit() {
		return
	}
	s.namespace.count(s.namespace.hooks().Connected)
	for _, f := range h.connect {
		s.protect("connect handler", func() error { f(s.ctx, s); return nil })
	}
}

// admit joins the socket to its rooms and sends the CONNECT packet, which
// precedes all else of the namespace. It reports false if the client has gone.
func (s *Socket) admit() (ok bool) {
	switch {
	case s.recovered:
		return s.resume()
	case s.seat != nil:
		s.namespace.log.Sequence(func() { ok = s.enter() })
		return ok
	}
	return s.enter()
}

// enter is admit for a socket that is new.
func (s *Socket) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != connecting {
		return false
	}
	if s.seat != nil {
		s.seat.open(s)
	} else {
		s.namespace.adapter.Add(&socketAdapter{s}, s.rooms...)
	}
	s.namespace.add(s) // a client that knows itself connected is found
	s.client.session.Send(s.welcome().frames())
	s.letIn()
	return true
}

// letIn follows the answer to CONNECT. It needs mu.
func (s *Socket) letIn() {
	s.rooms = nil
	s.state.Store(connected)
	c := s.client
	c.mu.Lock()
	c.joins()
	c.mu.Unlock()
}

// welcome returns the answer to a CONNECT packet.
func (s *Socket) welcome() encoded {
	if s.client.v3 {
		return encodeObject(s.parser(), TypeConnect, s.namespace.name, nil)
	}
	answer := struct {
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"` // which tells clients that they can be recovered
	}{SID: s.ID()}
	if s.seat != nil {
		answer.PID = s.seat.pid
	}
	return encodeObject(s.parser(), TypeConnect, s.namespace.name, answer)
}

// refuse answers the client's CONNECT with an error.
func (s *Socket) refuse(err error) {
	public, known := asError(err)
	if !known {
		s.logger().Error("middleware failed", "error", err)
	}
	if f := s.namespace.hooks().Refused; f != nil {
		f(s.namespace.name, err)
	}
	s.client.forget(s)
	s.client.refuse(s.namespace.name, public.connectError())
	s.end(ReasonServer)
	if s.recovered {
		s.seat.drop(LapseRefused)
	}
}
