package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// socketInfo is how a Socket describes itself to other nodes.
type socketInfo struct {
	Client    string          `json:"client"`
	Transport string          `json:"transport"`
	Handshake any             `json:"handshake"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// A RemoteSocket is a socket of any node, as it was when it was fetched. Its
// Emitter reaches it where it is.
type RemoteSocket struct {
	Emitter
	ID        string
	Node      string // name of the node that holds it; empty without a cluster
	Rooms     []string
	Client    string          // what Socket.ClientID returns
	Transport string          // "polling" or "websocket", as of then
	Handshake json.RawMessage // with the fields of Node's socket.handshake
	Data      json.RawMessage // what Socket.SetData kept
}

// FetchSockets describes the sockets chosen, on all nodes. If nodes did not
// answer before ctx was done, it returns the others' sockets and an
// *adapter.PartialError.
func (e Emitter) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	infos, err := e.namespace.adapter.Fetch(ctx, e.target)
	sockets := make([]RemoteSocket, 0, len(infos))
	for _, i := range infos {
		s := RemoteSocket{ID: string(i.ID), Node: i.Node, Emitter: e.namespace.To(string(i.ID))}
		for _, r := range i.Rooms {
			s.Rooms = append(s.Rooms, string(r))
		}
		var info struct {
			Client, Transport string
			Handshake, Data   json.RawMessage
		}
		if bad := json.Unmarshal(i.Data, &info); bad != nil {
			err = errors.Join(err, fmt.Errorf("socketio: description of socket %s of %s: %w", i.ID, i.Node, bad))
			continue
		}
		s.Client, s.Transport, s.Handshake, s.Data = info.Client, info.Transport, info.Handshake, info.Data
		sockets = append(sockets, s)
	}
	return sockets, err
}
