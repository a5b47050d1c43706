package engineio

import (
	"net/url"
	"strings"

	"github.com/carillonhq/carillon/transport"
)

// What the query of a request says of the client, beside the names of its
// transport and session.

// version is the version of the protocol that a query asks for: 4, 3, which
// also stands for none, or 0 for one that nobody speaks.
func version(query url.Values) int {
	switch query.Get("EIO") {
	case "4":
		return 4
	case "3", "":
		return 3
	}
	return 0
}

// dialect is the form of frames that a query asks for.
func dialect(query url.Values) transport.Dialect {
	text := query.Get("b64") != "" || jsonp(query) != ""
	switch v := version(query); {
	case v == 4 && text:
		return transport.V4Text
	case v == 4:
		return transport.V4
	case text:
		return transport.V3Text
	}
	return transport.V3
}

// jsonp is the function that a script which answers a poll shall call, or ""
// for a poll that is not for a script. Only protocol 3 knows scripts.
func jsonp(query url.Values) string {
	if version(query) != 3 || !query.Has("j") {
		return ""
	}
	index := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, query.Get("j"))
	return "___eio[" + index + "]"
}

// validHeader is Node's rule for the characters of a header.
func validHeader(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
