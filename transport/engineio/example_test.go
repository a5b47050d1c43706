package engineio_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// echo answers each message with itself.
type echo struct {
	session *engineio.Session
	closed  chan struct{}
}

func (e echo) Message(binary bool, data []byte) error {
	if !binary {
		data = append([]byte("4"), data...) // the type of a text message
	}
	return e.session.Send(transport.NewFrames(transport.Frame{Binary: binary, Data: data}))
}

func (e echo) Closed(reason engineio.Reason, _ error) {
	fmt.Println("closed:", reason)
	close(e.closed)
}

func Example() {
	closed := make(chan struct{})
	srv := engineio.New(engineio.Options{
		NewID: func(*http.Request) (string, error) { return "example", nil }, // the default is random
	}, func(s *engineio.Session) engineio.Receiver { return echo{s, closed} })
	mux := http.NewServeMux()
	mux.Handle("/engine.io/", srv)
	web := httptest.NewServer(mux)
	defer web.Close()
	defer srv.Close()

	// What a client does over HTTP long-polling:
	url := web.URL + "/engine.io/?EIO=4&transport=polling"
	show := func(res *http.Response, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		fmt.Println(string(body))
	}
	show(http.Get(url))
	show(http.Post(url+"&sid=example", "text/plain", strings.NewReader("4hello")))
	show(http.Get(url + "&sid=example"))
	if res, err := http.Post(url+"&sid=example", "text/plain", strings.NewReader("1")); err == nil {
		res.Body.Close()
	}
	<-closed

	// Output:
	// 0{"sid":"example","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}
	// ok
	// 4hello
	// closed: transport close
}
