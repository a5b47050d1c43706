package websocket

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// A HandshakeError says why a request did not become a Conn. Nothing was
// written and nothing was hijacked: the caller answers the request.
type HandshakeError struct {
	Status int // the HTTP status that fits
	Err    error
}

func (e *HandshakeError) Error() string {
	return "websocket: handshake: " + e.Err.Error()
}

func (e *HandshakeError) Unwrap() error { return e.Err }

func refuse(status int, format string, args ...any) error {
	return &HandshakeError{status, fmt.Errorf(format, args...)}
}

// check holds r to RFC 6455, section 4.2.1.
func check(r *http.Request) error {
	h := r.Header
	switch {
	case r.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "method %s", r.Method)
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return refuse(http.StatusUpgradeRequired, "%s cannot be upgraded", r.Proto)
	case !hasToken(h["Connection"], "upgrade"), !hasToken(h["Upgrade"], "websocket"):
		return refuse(http.StatusUpgradeRequired, "not an upgrade to websocket")
	case h.Get("Sec-Websocket-Version") != "13":
		return refuse(http.StatusUpgradeRequired, "version is not 13")
	case len(h["Sec-Websocket-Key"]) != 1:
		return refuse(http.StatusBadRequest, "%d keys", len(h["Sec-Websocket-Key"]))
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(h.Get("Sec-Websocket-Key"))); err != nil || len(key) != 16 {
		return refuse(http.StatusBadRequest, "invalid key")
	}
	return nil
}

// hasToken looks for token in a header that may be spread over several lines.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// plain is r reduced to what gws has to see of a request that was checked:
// it looks at the first line of each header only, and is to negotiate no
// extension but the one that we chose.
func plain(r *http.Request, deflate bool) *http.Request {
	values := [...]string{"Upgrade", "websocket", "13", strings.TrimSpace(r.Header.Get("Sec-Websocket-Key"))}
	h := http.Header{
		"Connection":            values[0:1:1],
		"Upgrade":               values[1:2:2],
		"Sec-Websocket-Version": values[2:3:3],
		"Sec-Websocket-Key":     values[3:4:4],
	}
	if deflate {
		h["Sec-Websocket-Extensions"] = []string{"permessage-deflate"}
	}
	return &http.Request{Method: http.MethodGet, Header: h}
}

// subprotocol returns the first of those that a client offers: there is none
// that means anything here, but a browser gives up if its offer is passed over.
func subprotocol(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Sec-Websocket-Protocol"), ",")
	first = strings.TrimSpace(first)
	if strings.ContainsFunc(first, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) }) {
		return "" // no token (RFC 9110, section 5.6.2)
	}
	return first
}

// handshakes are the headers of a response that are not the caller's to set.
var handshakes = map[string]bool{
	"Connection": true, "Upgrade": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true,
	"Sec-Websocket-Accept": true, "Sec-Websocket-Extensions": true, "Sec-Websocket-Protocol": true,
}

// withHeader adds h, and a subprotocol unless empty, to a response that ends
// behind its headers.
func withHeader(response []byte, h http.Header, subprotocol string) []byte {
	if len(h) == 0 && subprotocol == "" {
		return response
	}
	b := bytes.NewBuffer(bytes.TrimSuffix(response, []byte("\r\n")))
	if subprotocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + subprotocol + "\r\n")
	}
	h.WriteSubset(b, handshakes) // a bytes.Buffer does not fail
	b.WriteString("\r\n")
	return b.Bytes()
}
