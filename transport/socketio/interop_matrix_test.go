package socketio_test

import (
	"os"
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
	clientMatrix(t, func(matrixClient, string) bool { return true },
		func(t *testing.T, opts socketio.Options) (url string) { return interopOurs(t, opts, 1) })
}

// TestClientsOfAnyNode does the same where each request goes to the next of
// three nodes: the newest clients of each language, and with CARILLON_NIGHTLY
// all that make more than one request.
func TestClientsOfAnyNode(t *testing.T) {
	clientMatrix(t, func(c matrixClient, transport string) bool {
		return transport != "websocket" &&
			(os.Getenv("CARILLON_NIGHTLY") != "" || c.parser == "" && (c.name == "socket.io-client" || c.name == "async"))
	}, func(t *testing.T, opts socketio.Options) (url string) {
		t.Parallel()
		return interopNodes(t, opts)
	})
}

// clientMatrix has the clients that are wanted, by some of the transports, speak
// to servers that open returns.
func clientMatrix(t *testing.T, wanted func(c matrixClient, transport string) bool, open func(*testing.T, socketio.Options) (url string)) {
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
			if !wanted(client, transport) {
				continue
			}
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
				arg := map[string]string{"url": open(t, client.server), "client": client.name, "transport": transport, "parser": client.parser}
				var got []string
				interopRun(t, client.program, client.script, arg, func(line []byte) { got = append(got, string(line)) })
				if !slices.Equal(got, want) {
					t.Errorf("got\n%q\nwant\n%q", got, want)
				}
			})
		}
	}
}
