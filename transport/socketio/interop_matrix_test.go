package socketio_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// matrixClient is a row of TestClients.
type matrixClient struct {
	name    string // as the script knows it
	python  bool
	parser  string // the client's, unless the default
	server  socketio.Options
	auth    string // what the server hears of it
	refusal string // what it hears of a refusal

	program, script, needs string
	prefix                 string // of its reasons for disconnects
}

// fill sets what most clients have in common.
func (c *matrixClient) fill(refusal string) {
	c.program, c.script, c.needs, c.prefix = "node", "matrix.mjs", "node_modules", "io "
	if c.python {
		c.program, c.script, c.needs, c.prefix = "python3", "matrix.py", "python/socketio", ""
	}
	if c.auth == "" {
		c.auth = `{"name":"a","token":"x"}`
	}
	if c.refusal == "" {
		c.refusal = `"not now",` + refusal
	}
}

// TestClients takes published clients of several languages and versions
// through connect, events, acknowledgements, binary, rooms, refusal and
// disconnection, over each transport.
func TestClients(t *testing.T) {
	const refusal = `{"retry":3,"why":["a",null,{"b":"<&>"}]}`
	for _, client := range []matrixClient{
		{name: "client25", auth: `null`, refusal: refusal, server: socketio.Options{Engine: engineio.Options{AllowEIO3: true}}},
		{name: "client31"},
		{name: "client40"},
		{name: "client44"},
		{name: "socket.io-client"},
		{name: "socket.io-client", parser: "socket.io-msgpack-parser", server: socketio.Options{Parser: socketio.MessagePack()}},
		{name: "sync", python: true},
		{name: "async", python: true},
	} {
		client.fill(refusal)
		for _, transport := range []string{"polling", "websocket", "upgrade"} {
			t.Run(strings.Join([]string{client.program, client.name, client.parser, transport}, " "), func(t *testing.T) {
				interopNeeds(t, client.program, client.needs)
				final := transport
				if transport == "upgrade" {
					final = "websocket"
				}
				want := []string{
					`["auth",` + client.auth + `]`,
					`["transport","` + final + `"]`,
					`["event",1,"two",[null,{"é":true}]]`,
					`["ack","x",2]`,
					`["binary","bytes 00ff",{"deep":["bytes 78"]}]`,
					`["ack of the server's",42,"bytes 79"]`,
					`["room","for red"]`,
					`["refusal",` + client.refusal + `]`,
					`["kicked","` + client.prefix + `server disconnect"]`,
					`["left","` + client.prefix + `client disconnect"]`,
				}
				arg := map[string]string{"url": interopOurs(t, client.server, 1), "client": client.name, "transport": transport, "parser": client.parser}
				var got []string
				interopRun(t, client.program, client.script, arg, func(line []byte) { got = append(got, string(line)) })
				if !slices.Equal(got, want) {
					t.Errorf("got\n%q\nwant\n%q", got, want)
				}
			})
		}
	}
}
