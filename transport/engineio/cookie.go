package engineio

import (
	"net/http"
	"time"
)

// A Cookie carries the ID of the session, so that a load balancer can send all
// requests of a client to one server. It is set with the first response of a
// session, a poll or the 101, and means nothing to the server itself. The
// zero value is ready for use.
type Cookie struct {
	Name        string        // Default: "io".
	Path        string        // Default: "/".
	Domain      string        // Default: the host of the request alone.
	MaxAge      time.Duration // Default: as long as the browser runs.
	Secure      bool          // only over TLS
	Partitioned bool
	Scripts     bool          // let scripts read it, which HttpOnly forbids by default
	SameSite    http.SameSite // Default: http.SameSiteLaxMode.
}

// header is the Set-Cookie of a session. It is empty for a nil Cookie.
func (c *Cookie) header(id string) string {
	if c == nil {
		return ""
	}
	h := http.Cookie{
		Name:        c.Name,
		Value:       id,
		Path:        c.Path,
		Domain:      c.Domain,
		MaxAge:      int(c.MaxAge / time.Second),
		Secure:      c.Secure,
		Partitioned: c.Partitioned,
		HttpOnly:    !c.Scripts,
		SameSite:    c.SameSite,
	}
	if h.Name == "" {
		h.Name = "io"
	}
	if h.Path == "" {
		h.Path = "/"
	}
	if h.SameSite == 0 {
		h.SameSite = http.SameSiteLaxMode
	}
	return h.String()
}

// setCookie adds the cookie to a response that is about to be written, and
// returns what takes it back if it was not.
func (s *Server) setCookie(w http.ResponseWriter, id string) (undo func()) {
	cookie := s.opts.Cookie.header(id)
	if cookie == "" {
		return func() {}
	}
	h := w.Header()
	before := h["Set-Cookie"]
	h["Set-Cookie"] = append(before[:len(before):len(before)], cookie)
	return func() {
		if before == nil {
			h.Del("Set-Cookie")
			return
		}
		h["Set-Cookie"] = before
	}
}
