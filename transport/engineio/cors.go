package engineio

import (
	"net/http"
	"time"

	"github.com/rs/cors"
)

// CORS says which pages of other origins may talk to the server by polling.
// Browsers do not apply it to WebSockets: check the Origin in Options.Allow
// where cookies identify users.
type CORS struct {
	Origins     []string      // with at most one "*" in each. Default: every origin.
	Methods     []string      // Default: GET and POST.
	Headers     []string      // that a client may send. Default: whatever it asks for.
	Expose      []string      // that a client may read
	Credentials bool          // allow cookies; browsers want Origins to be named for that
	MaxAge      time.Duration // how long a browser may remember a preflight. Default: not said.
}

func (c *CORS) build() *cors.Cors {
	if c == nil {
		return nil
	}
	o := cors.Options{
		AllowedOrigins:   c.Origins,
		AllowedMethods:   c.Methods,
		AllowedHeaders:   c.Headers,
		ExposedHeaders:   c.Expose,
		AllowCredentials: c.Credentials,
		MaxAge:           int(c.MaxAge / time.Second),
	}
	if len(o.AllowedMethods) == 0 {
		o.AllowedMethods = []string{http.MethodGet, http.MethodPost}
	}
	if len(o.AllowedHeaders) == 0 {
		o.AllowedHeaders = []string{"*"}
	}
	return cors.New(o)
}

// cross sets the CORS headers of an answer, and reports whether that was all
// there is to do: an OPTIONS request is answered with 204.
func (s *Server) cross(w http.ResponseWriter, r *http.Request) bool {
	if s.cors == nil {
		return false
	}
	s.cors.HandlerFunc(w, r)
	if r.Method != http.MethodOptions {
		return false
	}
	if r.Header.Get("Access-Control-Request-Method") == "" { // else HandlerFunc did
		w.WriteHeader(http.StatusNoContent)
	}
	return true
}
