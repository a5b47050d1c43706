package adapter

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden holds the messages between nodes still: nodes of two versions
// talk to each other while a cluster is upgraded.
func TestGolden(t *testing.T) {
	rooms := Target{Rooms: []Room{"lobby", "bar"}, Except: []Room{"staff"}}
	list := appendRooms(nil, []Room{"x", "y"})
	said := func(m message) []byte { return m.append(nil) }
	var b strings.Builder
	b.WriteString("The messages of golden_test.go in hexadecimal.\n")
	for _, c := range []struct {
		name string
		wire []byte
	}{
		{"broadcast to rooms", said(message{kind: kindBroadcast, namespace: "/chat", target: rooms, body: []byte("hello")})},
		{"broadcast to all, volatile and not compressed", said(message{kind: kindBroadcast, flags: flagVolatile | flagNoCompress, namespace: "/", body: []byte("hello")})},
		{"broadcast with a trace", said(message{kind: kindBroadcast, namespace: "/", target: rooms, trace: "of 3", body: []byte("hello")})},
		{"deliver", said(message{kind: kindDeliver, namespace: "/", body: []byte("hello")})},
		{"fetch", said(message{kind: kindFetch, namespace: "/", target: rooms, body: appendNumber(nil, 300)})},
		{"the first page of a fetch, of two", append([]byte{1}, appendInfo(nil, &Info{ID: "AAAAAAAAsocket-nr-01", Rooms: []Room{"AAAAAAAAsocket-nr-01", "lobby"}, Data: []byte("about it")})...)},
		{"the next page", said(message{kind: kindNextPage, body: appendNumber(nil, 300)})},
		{"count", said(message{kind: kindCount, namespace: "/"})},
		{"a count", appendNumber(nil, 1000)},
		{"join", said(message{kind: kindJoin, namespace: "/", target: rooms, body: list})},
		{"leave", said(message{kind: kindLeave, namespace: "/", target: rooms, body: list})},
		{"disconnect", said(message{kind: kindDisconnect, flags: flagClose, namespace: "/", target: rooms})},
		{"ask", said(message{kind: kindAsk, namespace: "/", body: append(appendNumber(nil, 7), "vote"...)})},
		{"an answer", said(message{kind: kindAnswer, body: appendAnswer(nil, 7, "AAAAAAAAsocket-nr-01", answered, []byte("yes"))})},
		{"the end of a socket that was asked", said(message{kind: kindAnswer, body: appendAnswer(nil, 7, "AAAAAAAAsocket-nr-01", gone, nil)})},
		{"forget", said(message{kind: kindForget, body: appendNumber(nil, 7)})},
		{"rooms", said(message{kind: kindRooms, namespace: "/", body: appendNumber(nil, 8)})},
		{"a page of rooms, the last", append([]byte{0}, appendRoomSize(nil, "lobby", 300)...)},
		{"tell nodes", said(message{kind: kindTell, namespace: "/", body: []byte("reload")})},
		{"ask nodes", said(message{kind: kindAskNodes, namespace: "/", body: append(appendNumber(nil, 9), "load"...)})},
		{"a node's answer", said(message{kind: kindAnswer, body: appendAnswer(nil, 9, "", answered, []byte("0.5"))})},
		{"a node's error", said(message{kind: kindAnswer, body: appendAnswer(nil, 9, "", refused, []byte("not now"))})},
		{"tell a peer", said(message{kind: kindPeer, namespace: "/", body: append(appendString(nil, "take"), "it"...)})},
	} {
		fmt.Fprintf(&b, "-- %s --\n%s", c.name, hex.Dump(c.wire))
	}
	const file = "testdata/message.txtar"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the wire has changed; got\n%s\nwant\n%s", b.String(), want)
	}
}
