package socketio_test

import (
	"slices"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
)

// TestClients takes published clients of several languages and versions
// through connect, events, acknowledgements, binary, rooms, refusal and
// disconnection, over each transport.
func TestClients(t *testing.T) {
	for _, client := range []struct {
		program, script, needs string
		name                   string // as the script knows it
		left                   string // its reason for its own disconnect
	}{
		{"node", "matrix.mjs", "node_modules", "client31", "io client disconnect"},
		{"node", "matrix.mjs", "node_modules", "client40", "io client disconnect"},
		{"node", "matrix.mjs", "node_modules", "client44", "io client disconnect"},
		{"node", "matrix.mjs", "node_modules", "socket.io-client", "io client disconnect"},
		{"python3", "matrix.py", "python/socketio", "sync", "client disconnect"},
		{"python3", "matrix.py", "python/socketio", "async", "client disconnect"},
	} {
		for _, transport := range []string{"polling", "websocket", "upgrade"} {
			t.Run(client.program+" "+client.name+" "+transport, func(t *testing.T) {
				interopNeeds(t, client.program, client.needs)
				final := transport
				if transport == "upgrade" {
					final = "websocket"
				}
				kicked := "io server disconnect"
				if client.program == "python3" {
					kicked = "server disconnect"
				}
				want := []string{
					`["auth",{"name":"a","token":"x"}]`,
					`["transport","` + final + `"]`,
					`["event",1,"two",[null,{"é":true}]]`,
					`["ack","x",2]`,
					`["binary","bytes 00ff",{"deep":["bytes 78"]}]`,
					`["ack of the server's",42,"bytes 79"]`,
					`["room","for red"]`,
					`["refusal","not now",{"retry":3,"why":["a",null,{"b":"<&>"}]}]`,
					`["kicked","` + kicked + `"]`,
					`["left","` + client.left + `"]`,
				}
				arg := map[string]string{"url": interopOurs(t, socketio.Options{}, 1), "client": client.name, "transport": transport}
				var got []string
				interopRun(t, client.program, client.script, arg, func(line []byte) { got = append(got, string(line)) })
				if !slices.Equal(got, want) {
					t.Errorf("got\n%q\nwant\n%q", got, want)
				}
			})
		}
	}
}
