package admin

import (
	"context"

	"github.com/carillonhq/carillon/transport/socketio"
)

// A command is what an administrator may do. It returns where it was done, and
// what is wrong if it was not.
type command func(e *socketio.Event) (namespace string, err error)

var errReadOnly = socketio.Errorf("read_only", "administrators of this server can only look")

// command registers one. The UI wants no acknowledgement, and shows none; with
// a client that does, errors are in it.
func (a *Admin) command(name string, do command) {
	a.namespace.Handle(name, func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
		if a.opts.ReadOnly {
			return errReadOnly
		}
		if a.off.Load() {
			return errClosed
		}
		namespace, err := do(e)
		if err != nil {
			a.logger.Debug("administrator's command refused", "command", name, "error", err)
			return err
		}
		a.logger.Info("administrator's command", "command", name, "namespace", namespace, "address", s.Handshake().Address)
		return nil
	})
}

// target chooses sockets of a namespace: all, or with a filter the members of
// a room. It makes no namespace: one that is made by name alone would lack the
// middlewares of the parent that a client's asking would find.
func (a *Admin) target(namespace, filter string) (to socketio.Emitter, err error) {
	n := a.io.Lookup(namespace)
	if n == nil {
		return to, socketio.Errorf("not_found", "this server has no such namespace now")
	}
	if filter == "" {
		return n.To(), nil
	}
	return n.To(filter), nil
}

// done is what a command returns.
func done(namespace string, err error) (string, error) {
	if err != nil {
		err = socketio.Errorf("failed", "%v", err)
	}
	return namespace, err
}

// emit takes a namespace, a filter, an event and its arguments.
func (a *Admin) emit(e *socketio.Event) (string, error) {
	var namespace, filter, event string
	if err := e.Bind(&namespace, &filter, &event); err != nil {
		return "", err
	}
	to, err := a.target(namespace, filter)
	if err != nil {
		return "", err
	}
	var args []any
	for _, arg := range e.Args[min(3, len(e.Args)):] {
		args = append(args, arg)
	}
	return done(namespace, to.Emit(event, args...))
}

// join takes a namespace, a room and a filter.
func (a *Admin) join(e *socketio.Event) (string, error) {
	return a.change(e, socketio.Emitter.SocketsJoin)
}

// leave takes what join takes.
func (a *Admin) leave(e *socketio.Event) (string, error) {
	return a.change(e, socketio.Emitter.SocketsLeave)
}

func (a *Admin) change(e *socketio.Event, do func(to socketio.Emitter, rooms ...string) error) (string, error) {
	var namespace, room, filter string
	if err := e.Bind(&namespace, &room, &filter); err != nil {
		return "", err
	}
	if room == "" {
		return "", socketio.Errorf("invalid", "argument 2: a room expected")
	}
	to, err := a.target(namespace, filter)
	if err != nil {
		return "", err
	}
	return done(namespace, do(to, room))
}

// disconnect takes a namespace, whether to close the connections, and a filter.
func (a *Admin) disconnect(e *socketio.Event) (string, error) {
	var (
		namespace, filter string
		close             bool
	)
	if err := e.Bind(&namespace, &close, &filter); err != nil {
		return "", err
	}
	to, err := a.target(namespace, filter)
	if err != nil {
		return "", err
	}
	return done(namespace, to.DisconnectSockets(close))
}
