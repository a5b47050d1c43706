package socketio

import (
	_ "embed"
	"net/http"
	"strings"
)

// The JavaScript client, version bundleVersion, from the npm package
// socket.io-client; its licence (MIT) is beside it.
//
//go:embed client/socket.io.min.js
var bundle []byte

const (
	bundleName    = "socket.io.min.js"
	bundleVersion = "4.8.4"
)

// serveBundle answers a request for the client's file, as Node's server does,
// and reports whether it was one.
func serveBundle(w http.ResponseWriter, r *http.Request, name string) bool {
	if name != bundleName || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		return false
	}
	const etag = `"` + bundleVersion + `"`
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=0")
	h.Set("ETag", etag)
	if strings.TrimPrefix(r.Header.Get("If-None-Match"), "W/") == etag {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	h.Set("Content-Type", "application/javascript; charset=utf-8")
	w.Write(bundle)
	return true
}
