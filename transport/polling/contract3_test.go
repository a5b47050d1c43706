package polling_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/transporttest"
)

func TestContractV3(t *testing.T) {
	for name, d := range map[string]transport.Dialect{"records": transport.V3, "base64": transport.V3Text} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
				if maxQueue >= 1<<20 {
					maxQueue *= 64 // as in TestContract
				}
				conn, c := openAs(t, polling.Options{MaxQueue: maxQueue}, r, func(c *polling.Conn) { c.Speak(d, "") })
				return conn, &client3{client: c, records: d == transport.V3}
			})
		})
	}
}

// client3 is client in the words of protocol 3.
type client3 struct {
	*client
	records bool
	got     []transport.Frame
}

func (c *client3) Send(binary bool, data []byte) error {
	f := transport.NewFrames(transport.Frame{Binary: binary, Data: data})
	var header []string
	if binary && c.records {
		header = []string{"Content-Type", "application/octet-stream"}
	}
	_, answer, err := c.do(http.MethodPost, string(f.Polling3(header != nil)), header...)
	if err == nil && answer != "ok" {
		err = fmt.Errorf("POST was answered %q", answer)
	}
	return err
}

func (c *client3) Close() error { return c.post("1:1") }

func (c *client3) Receive() (binary bool, data []byte, err error) {
	for len(c.got) == 0 {
		h, body, err := c.do(http.MethodGet, "")
		if err != nil {
			return false, nil, err
		}
		switch body {
		case "1:1":
			return false, nil, io.EOF
		case "1:6":
			continue
		}
		walk := polling.Frames3Of
		if h.Get("Content-Type") == "application/octet-stream" {
			if !c.records {
				return false, nil, fmt.Errorf("binary for a client that takes none")
			}
			walk = polling.Records3Of
		}
		if c.got, err = collect(walk([]byte(body))); err != nil {
			return false, nil, err
		}
	}
	next := c.got[0]
	c.got = c.got[1:]
	return next.Binary, next.Data, nil
}
