package front

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/carillonhq/carillon/cmd/carillon/internal/glob"
)

// AllowsOrigin reports whether a request may come from the web page that it
// comes from. Browsers name the page's origin with every WebSocket and with
// every request to another origin; what names none is no browser, or a page of
// our own. Allowed are the server's own origin and those in patterns, in which
// "*" stands for any text; the pattern "*" allows all that a page can name.
func AllowsOrigin(patterns []string, r *http.Request) bool {
	if slices.Contains(patterns, "*") {
		return true
	}
	lines := r.Header.Values("Origin")
	if len(lines) == 0 {
		return true
	}
	u, err := url.Parse(lines[0])
	if len(lines) > 1 || err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false // "null" too, which any page can be
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return glob.MatchAny(patterns, strings.ToLower(u.Scheme+"://"+u.Host))
}
