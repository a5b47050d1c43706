package front

import (
	"bufio"
	"net/http"
)

// Request is what Upgrades makes of the first bytes of a connection.
func (u *Upgrades) Request(b []byte) *http.Request {
	s := &sieve{u: u, prefix: []byte("GET " + u.Path + "?")}
	s.readers.New = func() any { return bufio.NewReaderSize(nil, maxUpgrade) }
	return s.request(b)
}
