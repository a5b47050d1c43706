// Package socketiotest is a client that speaks Socket.IO by hand, frame by
// frame, to test servers with.
package socketiotest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A Client is one WebSocket connection of Engine.IO v4. Its methods fail the
// test where something else happens than they say, and wait 30 seconds at
// most.
type Client struct {
	t        testing.TB
	conn     *websocket.Conn
	patience time.Duration
}

// patience is how long a Client waits, unless it is told otherwise.
const patience = 30 * time.Second

// Dial connects to the server at url, without joining a namespace. The
// connection is cut at the end of the test.
func Dial(t testing.TB, url string) *Client {
	t.Helper()
	return DialWith(t, url, nil)
}

// DialWith is Dial with headers in the request.
func DialWith(t testing.TB, url string, header http.Header) *Client {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url+"/socket.io/?EIO=4&transport=websocket",
		&websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { conn.CloseNow() })
	c := &Client{t, conn, patience}
	if open := c.Read(); !strings.HasPrefix(open, `0{"sid":`) {
		t.Fatalf("got %q, want an open packet", open)
	}
	return c
}

// With returns c for use in another test.
func (c *Client) With(t testing.TB) *Client { return &Client{t, c.conn, c.patience} }

// Patient has c wait so long.
func (c *Client) Patient(d time.Duration) *Client {
	c.patience = d
	return c
}

// Join sends a CONNECT packet: arg is the namespace and a comma, unless it is
// "/", and what the client sends as auth. It returns the socket's id.
func (c *Client) Join(arg string) string {
	c.t.Helper()
	c.Send("40" + arg)
	answer := c.Read()
	var connect struct{ SID string }
	i := strings.IndexByte(answer, '{')
	if i < 0 || !strings.HasPrefix(answer, "40") || json.Unmarshal([]byte(answer[i:]), &connect) != nil || connect.SID == "" {
		c.t.Fatalf("got %q, want a CONNECT packet with a sid", answer)
	}
	return connect.SID
}

// Send sends a text frame.
func (c *Client) Send(text string) { c.write(websocket.MessageText, []byte(text)) }

// SendBinary sends a binary frame.
func (c *Client) SendBinary(data []byte) { c.write(websocket.MessageBinary, data) }

func (c *Client) write(typ websocket.MessageType, data []byte) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), typ, data); err != nil {
		c.t.Fatal(err)
	}
}

// Read returns the next frame, a binary one behind "b:".
func (c *Client) Read() string {
	c.t.Helper()
	text, err := c.next()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return text
}

func (c *Client) next() (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), c.patience)
	defer cancel()
	typ, data, err := c.conn.Read(ctx)
	if typ == websocket.MessageBinary {
		return "b:" + string(data), err
	}
	return string(data), err
}

// Want reads as many frames, and compares them.
func (c *Client) Want(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.Read(); got != want {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// WantClosed reads, and drops what comes, until the server has closed the
// connection.
func (c *Client) WantClosed() {
	c.t.Helper()
	for {
		if _, err := c.next(); errors.Is(err, context.DeadlineExceeded) {
			c.t.Fatal("still open")
		} else if err != nil {
			return
		}
	}
}

// Leave closes the connection in an orderly way.
func (c *Client) Leave() { c.conn.Close(websocket.StatusNormalClosure, "") }

// Vanish cuts the connection.
func (c *Client) Vanish() { c.conn.CloseNow() }
