package socketio

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/engineio"
)

// Clients of Socket.IO 2.x (protocol v4, over Engine.IO v3) differ in this, as
// read in client.js and socket.js of Socket.IO 4.8 for Node (allowEIO3): they
// are in "/" without asking; what they say of themselves stands in the query
// string of a namespace's name; the answer to CONNECT has no payload, as they
// make up their sockets' ids themselves; and the payload of a refusal is any
// value, which their application gets as it is.

// protocolOf returns the version of Engine.IO that a session speaks.
func protocolOf(session *engineio.Session) int {
	if s, ok := any(session).(interface{ Protocol() int }); ok {
		return s.Protocol()
	}
	return 4
}

// splitQuery takes the query string off the name of a packet's namespace. That
// of a CONNECT becomes its payload: an object of strings and, of names that
// come more than once, lists of strings.
func splitQuery(p *Packet) {
	name, query, _ := strings.Cut(p.Namespace, "?")
	p.Namespace = name
	if p.Type != TypeConnect {
		return
	}
	auth := make(map[string]any)
	values, _ := url.ParseQuery(query) // what can't be parsed is left out
	for name, v := range values {
		if len(v) == 1 {
			auth[name] = v[0]
		} else {
			auth[name] = v
		}
	}
	text, _ := json.Marshal(auth) // strings always encode
	p.Args = []Raw{{data: validUTF8(text)}}
}

// idV3 returns the id that the client gives its socket. It holds the session's
// id, which others should not be told.
func idV3(session, namespace string) adapter.SocketID {
	if namespace == "/" {
		return adapter.SocketID(session)
	}
	return adapter.SocketID(namespace + "#" + session)
}

// bare returns a refusal as such a client takes it.
func (e connectError) bare() any {
	if e.Data != nil {
		return e.Data
	}
	return e.Message
}
