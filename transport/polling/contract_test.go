package polling_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/transporttest"
)

func TestContract(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		if maxQueue >= 1<<20 {
			// Roomy bounds are meant not to be reached, by senders that never
			// rest. A poll's round trip gives them more time than a write.
			maxQueue *= 64
		}
		conn, c := open(t, polling.Options{MaxQueue: maxQueue}, r)
		return conn, c
	})
}

// open returns a Conn and its client, with a server of its own between them.
func open(t *testing.T, opts polling.Options, r transport.Receiver) (*polling.Conn, *client) {
	t.Helper()
	return openAs(t, opts, r, func(*polling.Conn) {})
}

// openAs is open of a Conn that is prepared.
func openAs(t *testing.T, opts polling.Options, r transport.Receiver, prepare func(*polling.Conn)) (*polling.Conn, *client) {
	t.Helper()
	a := polling.New(opts)
	conn, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	prepare(conn)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := conn.Serve(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusGone)
		}
	}))
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		tr.CloseIdleConnections()
		srv.Close()
	})
	conn.Start(r)
	c := &client{url: srv.URL, http: &http.Client{Transport: tr}}
	c.Post = c.post
	c.Get = func() (string, error) {
		_, body, err := c.do(http.MethodGet, "")
		return body, err
	}
	return conn, c
}

// client is a client as transporttest wants it.
type client struct {
	transporttest.Poller
	url  string
	http *http.Client
}

func (c *client) post(body string) error {
	_, answer, err := c.do(http.MethodPost, body)
	if err == nil && answer != "ok" {
		err = fmt.Errorf("POST was answered %q", answer)
	}
	return err
}

// do makes one request; any status but 200 is an error.
func (c *client) do(method, body string, header ...string) (http.Header, string, error) {
	req, err := http.NewRequest(method, c.url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = statusError(res.StatusCode)
	}
	return res.Header, string(b), err
}

type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }
