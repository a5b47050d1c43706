package main

import (
	"bytes"
	"crypto/rand"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// incoming is what a client says to a user or a room.
type incoming struct {
	To   string       `json:"to"`
	Room string       `json:"room"`
	Data socketio.Raw `json:"data"`
}

var _ socketio.RawUnmarshaler = (*incoming)(nil)

// UnmarshalRaw implements socketio.RawUnmarshaler: messages are what clients
// say most, and all but Data, which is passed on, is two short texts. What is
// out of the ordinary is left to encoding/json, and so are its errors.
func (m *incoming) UnmarshalRaw(r socketio.Raw) error {
	var read incoming
	plain := r.Fields(func(key []byte, value socketio.Raw) (ok bool) {
		switch string(key) {
		case "to":
			read.To, ok = value.Text()
		case "room":
			read.Room, ok = value.Text()
		case "data":
			read.Data, ok = value, true
		default: // which is nothing to us, unless it is one of these in capitals
			ok = !bytes.EqualFold(key, []byte("to")) && !bytes.EqualFold(key, []byte("room")) && !bytes.EqualFold(key, []byte("data"))
		}
		return ok
	})
	if !plain {
		type fields incoming // without this method
		return r.Decode((*fields)(m))
	}
	*m = read
	return nil
}

// outgoing is what becomes of it for those who get it.
type outgoing struct {
	ID   string       `json:"id"`
	Room string       `json:"room,omitempty"`
	From string       `json:"from"`
	Data socketio.Raw `json:"data"`
	At   int64        `json:"at"` // Unix time in milliseconds
}

var _ socketio.RawMarshaler = outgoing{}

func newOutgoing(from *socketio.Socket, m incoming) outgoing { return newMessage(userOf(from), m) }

func newMessage(from string, m incoming) outgoing {
	return outgoing{ID: rand.Text(), Room: m.Room, From: from, Data: m.Data, At: time.Now().UnixMilli()}
}

// MarshalRaw implements socketio.RawMarshaler.
func (m outgoing) MarshalRaw() (socketio.Raw, error) {
	var o socketio.Object
	o.String("id", m.ID)
	if m.Room != "" {
		o.String("room", m.Room)
	}
	o.String("from", m.From)
	o.Raw("data", m.Data)
	o.Int("at", m.At)
	return o.Done()
}
