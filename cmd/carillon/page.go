package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

// page is the console, and two clients to try the server with, at "/".
//
//go:embed page
var page embed.FS

// pagePolicy lets the page load what is this server's and nothing else. It may
// connect to any: its clients can be on another instance.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self' http: https: ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHandler serves the page of a gate's server.
func pageHandler(g *gate) http.Handler {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("GET /page.json", func(w http.ResponseWriter, _ *http.Request) {
		cfg := g.cfg.Load()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store") // a reload may change it
		_ = json.NewEncoder(w).Encode(struct {
			Path  string `json:"path"`
			Token bool   `json:"token"` // clients show one; else they say who they are
		}{cfg.Server.Path, cfg.Auth.Mode != auth.None}) // the browser may have gone
	})
	mux.HandleFunc("GET /client.js", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, g.cfg.Load().Server.Path+"socket.io.min.js", http.StatusFound)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}
