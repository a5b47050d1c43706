package engineio_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/transporttest"
)

// A session whose client talks to another node, by polling and by a pipe, keeps
// the contract of a Conn.
func TestContract(t *testing.T) {
	t.Run("polling", func(t *testing.T) {
		transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
			if maxQueue >= 1<<20 {
				maxQueue *= 64 // as in the polling Conn's own test
			}
			_, q, conn := openAcross(t, maxQueue, r)
			return conn, q
		})
	})
	t.Run("pipe", func(t *testing.T) {
		transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
			c, q, conn := openAcross(t, maxQueue, r)
			ws := c.upgrade(q.query)
			return conn, wsClient{ws.Conn}
		})
	})
}

// openAcross opens a session of one node, whose client talks to another one.
func openAcross(t *testing.T, maxQueue int, r transport.Receiver) (*cluster, *pollClient, *asConn) {
	t.Helper()
	c := newClusterOf(t, 2, engineio.Options{MaxQueue: maxQueue, MaxPayload: 16 << 20}, false, memory.NewHub().Driver,
		func(s *engineio.Session) engineio.Receiver { return &asConn{s, r} })
	c.to(0)
	sid := c.sid(c.get("&transport=polling").body)
	c.to(1)
	q := "&transport=polling&sid=" + sid
	return c, newPollClient(c.rig, q), c.nodes[0].peer(t).(*asConn)
}

// asConn is a Session as the suite wants a Conn: what it hears are whole frames.
type asConn struct {
	*engineio.Session
	r transport.Receiver
}

func (c *asConn) Abort() { c.Session.Abort(engineio.ReasonForcedClose) }

func (c *asConn) Message(binary bool, data []byte) error {
	if !binary {
		data = append([]byte("4"), data...)
	}
	return c.r.Frame(binary, data)
}

func (c *asConn) Closed(reason engineio.Reason, err error) {
	switch reason {
	case engineio.ReasonTransportClose:
		err = transport.ErrClosed
	case engineio.ReasonForcedClose:
		err = nil
	}
	c.r.Closed(err)
}

// A pollClient is the client of a session over polling.
type pollClient struct {
	transporttest.Poller
	*rig
	query string
}

func newPollClient(r *rig, query string) *pollClient {
	c := &pollClient{rig: r, query: query}
	c.Get = func() (string, error) { return c.request(http.MethodGet, "") }
	c.Post = func(payload string) error {
		_, err := c.request(http.MethodPost, payload)
		return err
	}
	return c
}

// request is do without a limit of time: the suite has its own.
func (c *pollClient) request(method, body string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, c.url+c.query, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || method == http.MethodPost && string(b) != "ok") {
		err = fmt.Errorf("%s was answered %d %q", method, res.StatusCode, b)
	}
	return string(b), err
}

// A wsClient is coder/websocket as the suite wants it.
type wsClient struct{ conn *websocket.Conn }

func (c wsClient) Send(binary bool, data []byte) error {
	typ := websocket.MessageText
	if binary {
		typ = websocket.MessageBinary
	}
	return c.conn.Write(context.Background(), typ, data)
}

func (c wsClient) Receive() (bool, []byte, error) {
	typ, data, err := c.conn.Read(context.Background())
	if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
		err = fmt.Errorf("%w: %w", io.EOF, err)
	}
	return typ == websocket.MessageBinary, data, err
}

func (c wsClient) Close() error { return c.conn.Close(websocket.StatusNormalClosure, "") }
