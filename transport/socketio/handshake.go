package socketio

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
)

// A Handshake is what a client said of itself when it connected: its first
// HTTP request, and what it sent as auth to the namespace.
type Handshake struct {
	Header  http.Header
	URL     *url.URL
	Address string // of the connection's other end, host:port
	Secure  bool   // the connection was encrypted when it reached us
	Time    time.Time
	Auth    Raw
}

func newHandshake(h *engineio.Handshake, auth Raw) *Handshake {
	return &Handshake{
		Header:  h.Header,
		URL:     h.URL,
		Address: h.RemoteAddr,
		Secure:  h.Secure,
		Time:    h.Time,
		Auth:    auth,
	}
}

// MarshalJSON implements json.Marshaler with the fields that Node's handshake
// has.
func (h *Handshake) MarshalJSON() ([]byte, error) {
	headers := make(map[string]string, len(h.Header))
	for name, values := range maps.All(h.Header) {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	query := make(map[string]string)
	for name, values := range h.URL.Query() {
		query[name] = values[0]
	}
	auth := h.Auth
	if auth.IsNull() {
		auth = Raw{data: []byte("{}")} // as Node has it
	}
	return json.Marshal(struct {
		Headers map[string]string `json:"headers"`
		Time    string            `json:"time"`
		Address string            `json:"address"`
		XDomain bool              `json:"xdomain"`
		Secure  bool              `json:"secure"`
		Issued  int64             `json:"issued"`
		URL     string            `json:"url"`
		Query   map[string]string `json:"query"`
		Auth    Raw               `json:"auth"`
	}{
		Headers: headers,
		Time:    h.Time.UTC().Format(time.RFC1123),
		Address: h.Address,
		XDomain: h.Header.Get("Origin") != "",
		Secure:  h.Secure,
		Issued:  h.Time.UnixMilli(),
		URL:     h.URL.String(),
		Query:   query,
		Auth:    auth,
	})
}
