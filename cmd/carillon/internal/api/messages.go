package api

import (
	"errors"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
)

type sentMessage struct {
	ID      string    `json:"id"`
	Users   []reached `json:"users"`   // in the order of the request
	Offline []string  `json:"offline"` // those of them whom it reached on no device
	Missing []Missing `json:"missing"`
}

type reached struct {
	User    string `json:"user"`
	Devices int    `json:"devices"`
}

// postMessages sends a message to users, as a client's "message" would.
func (a *API) postMessages(r *request) (any, error) {
	to := r.body.names("to", true)
	from := r.body.text("from", false, checkOptionalName)
	data := r.body.value("data")
	if err := errors.Join(r.query.done(), r.body.done()); err != nil {
		return nil, err
	}
	id, message := a.opts.Message(from, data)
	receipts := make([]*adapter.Receipt, len(to))
	for i, user := range to {
		receipt, err := a.opts.Server.Of("/").To(a.opts.Names.User(user)).Deliver("message", message)
		if err != nil {
			return nil, err
		}
		receipts[i] = receipt
	}

	ctx, cancel := a.wait(r)
	defer cancel()
	sent := sentMessage{ID: id, Users: make([]reached, len(to)), Offline: []string{}, Missing: []Missing{}}
	var failed error
	for i, receipt := range receipts { // all of them, so that none is kept
		devices, err := receipt.Wait(ctx)
		missing, err := a.missing(err)
		failed = errors.Join(failed, err)
		sent.Missing = merge(append(sent.Missing, missing...))
		sent.Users[i] = reached{to[i], devices}
		if devices == 0 {
			sent.Offline = append(sent.Offline, to[i])
		}
	}
	if failed != nil {
		return nil, failed
	}
	return sent, nil
}

// An emission is the answer to what sends an event.
type emission struct {
	OK      bool      `json:"ok"`
	Sockets *int      `json:"sockets,omitempty"` // that the event was handed to, where a receipt was wanted
	Missing []Missing `json:"missing"`
}

// postNotifications sends an event with one argument to users, to members of
// rooms, or to all.
func (a *API) postNotifications(r *request) (any, error) {
	b := &r.body
	s := selection{namespace: "/", rooms: a.roomsOf(b.names("users", false), b.names("rooms", false), nil)}
	a.chosen(b, len(s.rooms) > 0, "users, rooms")
	event := b.text("event", true, checkEvent)
	data := b.value("data")
	return a.emit(r, s, event, data)
}

// postEmit sends any event to any choice of sockets.
func (a *API) postEmit(r *request) (any, error) {
	b := &r.body
	s := a.selection(b, true)
	event := b.text("event", true, checkEvent)
	return a.emit(r, s, event, b.values("args")...)
}

// emit takes what says how to emit, and does.
func (a *API) emit(r *request, s selection, event string, args ...any) (any, error) {
	volatile := r.body.flag("volatile")
	receipt := r.body.flag("receipt")
	if err := errors.Join(r.query.done(), r.body.done()); err != nil {
		return nil, err
	}
	to, err := a.emitter(s)
	if err != nil {
		return nil, err
	}
	if volatile {
		to = to.Volatile()
	}
	if !receipt {
		if err := to.Emit(event, args...); err != nil {
			return nil, sendProblem(err)
		}
		return emission{OK: true, Missing: []Missing{}}, nil
	}
	return a.receipt(r, to, event, args)
}

func (a *API) receipt(r *request, to socketio.Emitter, event string, args []any) (any, error) {
	handed, err := to.Deliver(event, args...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.wait(r)
	defer cancel()
	n, err := handed.Wait(ctx)
	missing, err := a.missing(err)
	if err != nil {
		return nil, err
	}
	return emission{OK: true, Sockets: &n, Missing: append([]Missing{}, missing...)}, nil
}
