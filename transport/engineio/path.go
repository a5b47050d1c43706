package engineio

import (
	"net/http"
	"strings"
)

func (o *Options) path() string {
	path := o.Path
	if path == "" {
		path = "/engine.io"
	}
	path = strings.TrimSuffix(path, "/")
	if !o.NoTrailingSlash {
		path += "/"
	}
	return path
}

// Path is Options.Path as it is matched, with the slash at its end or not.
func (s *Server) Path() string { return s.path }

// Handler gives the server the requests whose path begins with Path, and all
// others to next. An http.ServeMux does the same for a pattern that ends with
// a slash; this is for other routers, and for Options.NoTrailingSlash.
func (s *Server) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), s.path) {
			s.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
