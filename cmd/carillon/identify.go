package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
	"github.com/carillonhq/carillon/transport/socketio"
)

// device is what a socket's data is: others are shown the names in it.
type device struct {
	User string `json:"user"`
	Name string `json:"device,omitempty"` // as the client or its token has it

	identity auth.Identity
	share    *limit.Socket
	lease    *lease
	noticed  *atomic.Int64 // when the client was told that it says too much, in Unix nanoseconds
}

func deviceOf(s *socketio.Socket) device {
	d, _ := s.Data().(device)
	return d
}

func userOf(s *socketio.Socket) string { return deviceOf(s).User }

// identify is a middleware that finds out who a client is.
func (s *service) identify(ctx context.Context, socket *socketio.Socket) error {
	h := socket.Handshake()
	request := s.request(socket)
	redact(h, s.gate.keepsAuth())
	if err := s.gate.limits.Join(addrOf(h.Address)); err != nil {
		return publicLimit(err)
	}
	id, err := s.gate.auth.Authenticate(ctx, request)
	if err != nil {
		return publicAuth(err)
	}
	again := socket.Recovered() || socket.Restored()
	if again {
		if id, err = deviceOf(socket).again(id); err != nil {
			return err
		}
	}
	share, err := s.gate.limits.Enter(id.User)
	if err != nil {
		return publicLimit(err)
	}
	afterEnd(ctx, share.Release) // also if the socket is not let in after all
	socket.SetData(device{
		User: id.User, Name: id.Device,
		identity: id, share: share, lease: newLease(s.gate, socket), noticed: new(atomic.Int64),
	})
	socket.Join(userRoom(id.User))
	if again {
		s.evict(socket, id)
	}
	return nil
}

// afterEnd is context.AfterFunc without what that allocates, a third of a
// kilobyte for as long as the client stays, where ctx does it by itself, as
// sockets' do.
func afterEnd(ctx context.Context, f func()) {
	if own, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		own.AfterFunc(f)
		return
	}
	context.AfterFunc(ctx, f)
}

// again returns the identity of a client that is recovered, given the one that
// it has shown now: it has to be of the same user.
func (d device) again(id auth.Identity) (auth.Identity, error) {
	if id.Anonymous && d.identity.Anonymous {
		id.User = d.User
	}
	if id.User != d.User {
		return id, socketio.Errorf(auth.Forbidden, "the session is another user's")
	}
	if id.Device == "" {
		id.Device = d.Name
	}
	return id, nil
}

// request is what a client shows when it enters a namespace.
func (s *service) request(socket *socketio.Socket) auth.Request {
	h := socket.Handshake()
	return auth.Request{
		Namespace: socket.Namespace().Name(),
		Auth:      jsonOf(h.Auth),
		Header:    h.Header,
		Query:     h.URL.Query(),
		Address:   addrOf(h.Address).String(),
		Node:      s.node,
	}
}

// jsonOf is empty for null. Binary, which no token is, reads as text.
func jsonOf(raw socketio.Raw) json.RawMessage {
	if raw.IsNull() {
		return nil
	}
	text, err := raw.MarshalJSON()
	if err != nil || !json.Valid(text) {
		return nil
	}
	return text
}

func addrOf(hostport string) netip.Addr {
	at, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// redact takes out of a handshake what nobody else should see: whoever fetches
// sockets, on any node, is told their handshakes.
func redact(h *socketio.Handshake, keepAuth bool) {
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization"} {
		if _, ok := h.Header[name]; ok {
			h.Header = h.Header.Clone() // which the client's other sockets share
			delete(h.Header, name)
		}
	}
	if keepAuth {
		return
	}
	h.Auth = socketio.Raw{}
	all, kept := h.URL.Query(), url.Values{}
	for _, name := range []string{"EIO", "transport", "t"} {
		if v, ok := all[name]; ok {
			kept[name] = v
		}
	}
	u := *h.URL
	u.RawQuery = kept.Encode()
	h.URL = &u
}

// refreshed is the answer to auth:refresh. Expires is in Unix milliseconds, and
// null for an identity that does not expire.
type refreshed struct {
	OK      bool   `json:"ok"`
	Expires *int64 `json:"expires"`
}

// refresh takes a newer token of the user that the socket is already.
func (s *service) refresh(ctx context.Context, socket *socketio.Socket, arg socketio.Raw) (any, error) {
	request := s.request(socket)
	request.Auth, request.Header, request.Query, request.Refresh = jsonOf(arg), http.Header{}, nil, true
	id, err := s.gate.auth.Authenticate(ctx, request)
	if err != nil {
		return nil, publicAuth(err)
	}
	d := deviceOf(socket)
	if id.User != d.User {
		return nil, socketio.Errorf(auth.Forbidden, "the token is of another user")
	}
	if id.Device == "" {
		id.Device = d.Name
	}
	d.identity, d.Name = id, id.Device
	if !d.lease.renew(id.Expires) {
		return nil, socketio.Errorf(auth.TokenExpired, "too late: the identity has expired")
	}
	socket.SetData(d)
	s.evict(socket, id)
	answer := refreshed{OK: true}
	if !id.Expires.IsZero() {
		at := id.Expires.UnixMilli()
		answer.Expires = &at
	}
	return answer, nil
}

// evict takes a socket out of the rooms that it may not be in any more.
func (s *service) evict(socket *socketio.Socket, id auth.Identity) {
	for _, room := range socket.Rooms() {
		if name, ok := nameOfRoom(room); ok && !id.MayJoin(name) {
			socket.Leave(room)
		}
	}
	s.who.See(socket)
}

// publicAuth is an error of auth in a client's words.
func publicAuth(err error) error {
	if e, ok := asAuth(err); ok {
		return socketio.Errorf(e.Code, "%s", e.Message)
	}
	return err
}

// retry is the data of an error that says when to try again.
type retry struct {
	Code       string     `json:"code"`
	Limit      limit.Kind `json:"limit"`
	RetryAfter int64      `json:"retryAfter,omitempty"` // in milliseconds
}

// publicLimit is an error of limit in a client's words.
func publicLimit(err error) error {
	r, ok := asLimit(err)
	if !ok {
		return err
	}
	code := "rate_limited"
	if r.Kind == limit.ConnectionsPerUser {
		code = "too_many_connections"
	}
	after := (r.After + time.Millisecond - 1).Milliseconds()
	return &socketio.Error{Code: code, Message: r.Message, Data: retry{code, r.Kind, after}}
}
