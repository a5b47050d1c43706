package socketio

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// A ServerHandler is called with each event of a name that another node's
// ServerSideEmit or ServerSideEmitWithAck sends to the namespace. Those of one
// namespace are called one at a time, in the order of each node that emits, so
// none should wait for other nodes: let a goroutine do that, with
// ServerEvent.Defer. ctx is cancelled when the Server shuts down, which waits
// for the handler, or when the namespace is dropped.
//
// If an acknowledgement is wanted and the ServerHandler gave none, returning is
// one: without arguments for nil, else with the error's text, which the node
// that asked gets as a *broker.RefusedError. Errors that are no *Error are
// logged. A panic is recovered and is such an error.
type ServerHandler func(ctx context.Context, e *ServerEvent) error

// A ServerEvent is what another node emitted to the servers.
type ServerEvent struct {
	Name string
	Node string // the other node's name
	Args Args

	namespace *Namespace
	answer    func(body []byte, err error) // nil if none is wanted
	acked     atomic.Bool
	deferred  bool // touched by the handler, and read after it
}

// WantsAck reports whether the other node waits for an acknowledgement.
func (e *ServerEvent) WantsAck() bool { return e.answer != nil }

// Ack answers the other node, from any goroutine. Only the first call counts,
// and none if the other node did not ask. It fails if args can't be encoded.
func (e *ServerEvent) Ack(args ...any) error {
	if !e.WantsAck() || e.acked.Swap(true) {
		return nil
	}
	packet, err := encodeAck(e.namespace.server.opts.Parser, "/", 0, args)
	if err != nil {
		e.acked.Store(false) // the handler may still return it as an error
		return fmt.Errorf("ack %q: %w", e.Name, err)
	}
	e.answer(packet.data(), nil)
	return nil
}

// Defer leaves the acknowledgement to a later call of Ack or Fail: the return
// of the ServerHandler is none.
func (e *ServerEvent) Defer() { e.deferred = true }

// Fail is Ack with an error, as a ServerHandler's return of err is.
func (e *ServerEvent) Fail(err error) {
	if _, known := asError(err); !known {
		e.namespace.logger().Error("server event handler failed", "event", e.Name, "from", e.Node, "error", err)
	}
	if e.WantsAck() && !e.acked.Swap(true) {
		e.answer(nil, err)
	}
}

// A ServerAnswer is what one node answered to a ServerSideEmitWithAck.
type ServerAnswer struct {
	Node string // its name
	Args
}

// HandleServer sets the ServerHandler of an event; OnServer and ReplyServer do
// with types. It panics for a reserved name and for a second ServerHandler of
// the same event.
func (r *registry) HandleServer(event string, f ServerHandler) {
	if reserved[event] {
		panic("socketio: HandleServer " + event + ": reserved event name")
	}
	r.change(func(h *handlers) {
		if h.server[event] != nil {
			panic("socketio: HandleServer " + event + ": there is a handler already")
		}
		h.server = with(h.server, event, f)
	})
}

// OnServer registers a typed ServerHandler: the event's first argument is
// decoded into A; one that is missing leaves A zero. node is the name of the
// node that emitted it.
func OnServer[A any](n Registrar, event string, h func(ctx context.Context, node string, arg A) error) {
	n.HandleServer(event, func(ctx context.Context, e *ServerEvent) error {
		var arg A
		if err := e.Args.Bind(&arg); err != nil {
			return err
		}
		return h(ctx, e.Node, arg)
	})
}

// ReplyServer is OnServer for a handler whose result is the acknowledgement.
func ReplyServer[A, R any](n Registrar, event string, h func(ctx context.Context, node string, arg A) (R, error)) {
	n.HandleServer(event, func(ctx context.Context, e *ServerEvent) error {
		var arg A
		if err := e.Args.Bind(&arg); err != nil {
			return err
		}
		result, err := h(ctx, e.Node, arg)
		if err != nil {
			return err
		}
		return e.Ack(result)
	})
}

// ServerSideEmit sends an event to the ServerHandlers of this namespace on
// every other node, in order with what this node broadcasts. No client sees it,
// and a node without the namespace passes over it.
func (n *Namespace) ServerSideEmit(event string, args ...any) error {
	body, err := n.serverEvent(event, args)
	if err != nil {
		return err
	}
	return n.adapter.TellNodes(body)
}

// ServerSideEmitWithAck is ServerSideEmit that returns what the other nodes
// acknowledge, in no order, when each of them has answered or gone, or ctx is
// done: it should have a deadline. A node without the namespace is not asked.
// If any is missing, the error wraps an *adapter.PartialError that names it:
// it was silent (adapter.ErrSilent), went down (broker.ErrNodeDown) or refused,
// by a handler's error or for want of one (*broker.RefusedError).
func (n *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]ServerAnswer, error) {
	body, err := n.serverEvent(event, args)
	if err != nil {
		return nil, err
	}
	answers, err := n.adapter.AskNodes(ctx, body)
	all := make([]ServerAnswer, 0, len(answers))
	for _, a := range answers {
		args, ok := n.decodeAnswer(a.Body)
		if !ok {
			err = errors.Join(err, fmt.Errorf("%w: %s", errAnswer, a.Node))
			continue
		}
		all = append(all, ServerAnswer{Node: a.Node, Args: args})
	}
	if err != nil {
		err = fmt.Errorf("acknowledgements of %q: %w", event, err)
	}
	return all, err
}

func (n *Namespace) serverEvent(event string, args []any) ([]byte, error) {
	e, err := encodeEvent(n.server.opts.Parser, "/", NoID, event, args)
	if err != nil {
		return nil, err
	}
	return e.data(), nil
}

// maxServerEvents bounds the events of other nodes that wait for the
// namespace's ServerHandlers.
const maxServerEvents = 1024

// hear takes an event of another node: an adapter.NodeHandler. It does not
// wait for handlers: where too many events wait for them, it refuses.
func (n *Namespace) hear(from string, body []byte, answer func(body []byte, err error)) {
	e := &ServerEvent{Node: from, namespace: n, answer: answer}
	if data, ok := decodeData(body); ok {
		e.Name, e.Args = n.decodeEvent(data)
	}
	f := n.current.Load().server[e.Name]
	if f == nil {
		n.logger().Debug("no handler for server event", "event", e.Name, "from", from)
		e.Fail(Errorf("unhandled", "no handler for %q", e.Name))
		return
	}
	n.mu.Lock() // Server.finish begins to wait after stop
	open := n.ctx.Err() == nil
	taken := open && n.inbox.offer(&n.server.crew, maxServerEvents, func() { n.handle(f, e) })
	n.mu.Unlock()
	switch {
	case !open:
		e.Fail(Errorf("closed", "the namespace is closed"))
	case !taken:
		n.logger().Warn("server event dropped, too many wait for their handlers", "event", e.Name, "from", from)
		e.Fail(Errorf("busy", "too many events wait for their handlers"))
	}
}

func (n *Namespace) handle(f ServerHandler, e *ServerEvent) {
	err := error(&Error{Code: "internal", Message: "internal error"}) // of a panic
	n.server.guard("server event handler", func() { err = f(n.ctx, e) })
	switch {
	case err != nil:
		e.Fail(err)
	case !e.deferred:
		e.Ack()
	}
}

// stop ends what the namespace hears of other nodes.
func (n *Namespace) stop() {
	n.moves.close()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cancel()
}
