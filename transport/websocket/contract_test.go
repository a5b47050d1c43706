package websocket_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	coder "github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

func TestContract(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		return open(t, httptest.NewServer, websocket.Options{MaxQueue: maxQueue}, r)
	})
}

func TestContractTLS(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		return open(t, httptest.NewTLSServer, websocket.Options{MaxQueue: maxQueue}, r)
	})
}

func TestContractV3(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		conn, c := openAs(t, transport.V3, httptest.NewServer, websocket.Options{MaxQueue: maxQueue}, r)
		return conn, client3{c}
	})
}

// With an offer of permessage-deflate that is agreed to. Nothing is as long
// as the threshold, so that the suite's sizes are those on the wire.
func TestContractDeflate(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		return open(t, httptest.NewServer, websocket.Options{MaxQueue: maxQueue, Deflate: &websocket.Deflate{Threshold: 1 << 30, PoolSize: 1}}, r)
	})
}

// open returns a Conn, started with r, and a client of another make.
func open(t *testing.T, listen func(http.Handler) *httptest.Server, opts websocket.Options, r transport.Receiver) (transport.Conn, transporttest.Client) {
	t.Helper()
	return openAs(t, transport.V4, listen, opts, r)
}

func openAs(t *testing.T, d transport.Dialect, listen func(http.Handler) *httptest.Server, opts websocket.Options, r transport.Receiver) (transport.Conn, transporttest.Client) {
	t.Helper()
	return openOn(t, websocket.New(opts), d, listen, r)
}

func openOn(t *testing.T, a *websocket.Acceptor, d transport.Dialect, listen func(http.Handler) *httptest.Server, r transport.Receiver) (transport.Conn, transporttest.Client) {
	t.Helper()
	conns := make(chan *websocket.Conn, 1)
	srv := listen(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, err := a.Accept(w, req)
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		c.Speak(d)
		c.Start(r)
		conns <- c
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { a.Close() })
	conn, _, err := coder.Dial(t.Context(), srv.URL, &coder.DialOptions{HTTPClient: srv.Client(), CompressionMode: coder.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(-1)
	return <-conns, client{conn}
}

// A client is coder/websocket as the suite wants it.
type client struct{ conn *coder.Conn }

func (c client) Send(binary bool, data []byte) error {
	typ := coder.MessageText
	if binary {
		typ = coder.MessageBinary
	}
	return c.conn.Write(context.Background(), typ, data)
}

func (c client) Receive() (bool, []byte, error) {
	typ, data, err := c.conn.Read(context.Background())
	if coder.CloseStatus(err) == coder.StatusNormalClosure {
		err = fmt.Errorf("%w: %w", io.EOF, err)
	}
	return typ == coder.MessageBinary, data, err
}

func (c client) Close() error { return c.conn.Close(coder.StatusNormalClosure, "") }

// A client3 speaks protocol 3: binary behind a byte for its type.
type client3 struct{ transporttest.Client }

func (c client3) Send(binary bool, data []byte) error {
	if binary {
		data = append([]byte{4}, data...)
	}
	return c.Client.Send(binary, data)
}

func (c client3) Receive() (bool, []byte, error) {
	binary, data, err := c.Client.Receive()
	if err == nil && binary {
		if len(data) == 0 || data[0] != 4 {
			return true, data, fmt.Errorf("a binary frame without its type: %q", data)
		}
		data = data[1:]
	}
	return binary, data, err
}
