package engineio

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// A Handshake is what a session's first request said. It must not be changed.
type Handshake struct {
	Header     http.Header
	URL        *url.URL
	RemoteAddr string
	Secure     bool // the connection was TLS, up to this server
	Time       time.Time
}

// handshakeOf copies, so as not to keep the request and all that hangs on it.
func handshakeOf(r *http.Request) *Handshake {
	u := *r.URL
	return &Handshake{
		Header:     r.Header.Clone(),
		URL:        &u,
		RemoteAddr: r.RemoteAddr,
		Secure:     r.TLS != nil,
		Time:       time.Now(),
	}
}

// openPacket is the first thing that a client of a session hears
// (Engine.IO protocol v4, "Handshake").
func (s *Server) openPacket(id, name string) *transport.Frames {
	body, _ := json.Marshal(struct { // strings and ints always encode
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{
		id, s.opts.upgrades(name),
		s.opts.PingInterval.Milliseconds(), s.opts.PingTimeout.Milliseconds(),
		s.opts.MaxPayload,
	})
	return transport.Text("0" + string(body))
}
