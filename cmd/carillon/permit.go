package main

import (
	"context"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/transport/socketio"
)

// permit is a middleware for what clients emit: it refuses what is too much,
// and what the client may not do by itself.
func (s *service) permit(_ context.Context, socket *socketio.Socket, e *socketio.Event) error {
	d := deviceOf(socket)
	if err := d.share.Take(e.Size() + len(e.Name)); err != nil {
		return s.tooMuch(socket, e, publicLimit(err))
	}
	switch id := d.identity; e.Name {
	case "message":
		if !id.Message {
			return s.forbidden("message", "not allowed to send to users")
		}
	case "room:message":
		if !id.Broadcast {
			return s.forbidden("broadcast", "not allowed to send to rooms")
		}
	case "presence:list", "presence:get", "presence:watch":
		if !id.Presence {
			return s.forbidden("presence", "not allowed to see who is online")
		}
	}
	return nil
}

func (s *service) forbidden(what, format string, args ...any) error {
	if f := s.gate.hooks.Forbidden; f != nil {
		f(what)
	}
	return socketio.Errorf(auth.Forbidden, format, args...)
}

// noticeEvery bounds how often a client that wants no acknowledgements is told
// that its events are refused.
const noticeEvery = time.Second

// maxEcho bounds what of an event's name the client gets back, in bytes.
const maxEcho = 128

// tooMuch tells a client that would not hear of it that an event was refused.
func (s *service) tooMuch(socket *socketio.Socket, e *socketio.Event, err error) error {
	refused, ok := err.(*socketio.Error)
	if !ok || e.WantsAck() {
		return err
	}
	last, now := deviceOf(socket).noticed, time.Now().UnixNano()
	if before := last.Load(); now-before < int64(noticeEvery) || !last.CompareAndSwap(before, now) {
		return err
	}
	notice := struct {
		Event   string `json:"event"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data"`
	}{e.Name[:min(len(e.Name), maxEcho)], refused.Code, refused.Message, refused.Data}
	if err := socket.Emit("rate_limited", notice); err != nil {
		s.logger.Debug("refusal not told", "socket", socket.ID(), "error", err)
	}
	return err
}
