package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// A description is a socket as administrators see it.
type description struct {
	ID        string          `json:"id"`
	Client    string          `json:"clientId"`
	Transport string          `json:"transport"`
	Namespace string          `json:"nsp"`
	Data      json.RawMessage `json:"data"`
	Handshake handshake       `json:"handshake"`
	Rooms     []string        `json:"rooms"`
}

// handshake is the client's own, without what is nobody else's business.
type handshake struct {
	Address string            `json:"address"`
	Headers map[string]string `json:"headers"`
	Query   map[string]string `json:"query"`
	Issued  int64             `json:"issued"` // Unix time in milliseconds
	Secure  bool              `json:"secure"`
	Time    string            `json:"time"`
	URL     string            `json:"url"`
	XDomain bool              `json:"xdomain"`
}

// parseHandshake reads the JSON of a socketio.Handshake.
func parseHandshake(text []byte) (h handshake) {
	_ = json.Unmarshal(text, &h) // of another version's node: as far as it goes
	for _, name := range []string{"cf-connecting-ip", "x-forwarded-for"} {
		if address := h.Headers[name]; address != "" {
			h.Address = address
			break
		}
	}
	for _, secret := range []string{"cookie", "authorization", "proxy-authorization"} {
		delete(h.Headers, secret)
	}
	return h
}

// describe describes a socket of this node.
func describe(s *socketio.Socket) description {
	text, _ := json.Marshal(s.Handshake())
	return description{
		ID:        s.ID(),
		Client:    s.ClientID(),
		Transport: s.Transport(),
		Namespace: s.Namespace().Name(),
		Data:      dataOf(s),
		Handshake: parseHandshake(text),
		Rooms:     s.Rooms(),
	}
}

var noData = json.RawMessage("{}") // what the UI expects

func dataOf(s *socketio.Socket) json.RawMessage {
	data, err := json.Marshal(s.Data())
	if err != nil {
		return noData
	}
	return orNoData(data)
}

func orNoData(data json.RawMessage) json.RawMessage {
	if len(data) == 0 || string(data) == "null" {
		return noData
	}
	return data
}

// fetchTimeout bounds the wait for other nodes' sockets.
const fetchTimeout = 5 * time.Second

// list tells a new administrator of all sockets. What does not fit into one
// packet follows as the client takes it, socket by socket, so that an
// administrator of many sockets is not cut for being slow.
func (a *Admin) list(ctx context.Context, s *socketio.Socket) error {
	all := a.fetch(ctx)
	first, size := 0, 0
	for first < len(all) && size < maxList {
		text, _ := json.Marshal(all[first])
		size += len(text)
		first++
	}
	if err := s.Emit("all_sockets", append([]description{}, all[:first]...)); err != nil { // not null in JSON
		return err
	}
	for _, d := range all[first:] {
		since := timestamp(time.UnixMilli(d.Handshake.Issued))
		for {
			taken, err := s.EmitVolatile("socket_connected", d, since)
			if err != nil {
				return err
			}
			if taken {
				break
			}
			select {
			case <-time.After(listRetry):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// maxList is about how many bytes the event "all_sockets" takes at most, and
// listRetry the time after which a client that was busy is tried again.
const (
	maxList   = 256 << 10
	listRetry = 20 * time.Millisecond
)

// fetch returns the sockets of this node's namespaces, on all nodes.
func (a *Admin) fetch(ctx context.Context) (all []description) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	for _, n := range a.io.Namespaces() {
		sockets, err := n.FetchSockets(ctx)
		if err != nil {
			a.logger.Debug("not all sockets found", "namespace", n.Name(), "error", err)
		}
		for _, s := range sockets {
			all = append(all, description{
				ID:        s.ID,
				Client:    s.Client,
				Transport: s.Transport,
				Namespace: n.Name(),
				Data:      orNoData(s.Data),
				Handshake: parseHandshake(s.Handshake),
				Rooms:     s.Rooms,
			})
		}
	}
	return all
}
