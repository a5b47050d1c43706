package front_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
)

func TestClient(t *testing.T) {
	trusted := []string{"10.0.0.0/8", "2001:db8::1", "192.0.2.1"}
	for _, c := range []struct {
		name, remote, header string
		lines                []string
		want                 string
	}{
		{"no proxy", "198.51.100.1:5", "", []string{"203.0.113.1"}, "198.51.100.1"},
		{"one proxy", "10.0.0.1:5", "", []string{"203.0.113.1"}, "203.0.113.1"},
		{"two proxies", "10.0.0.1:5", "", []string{"203.0.113.1, 10.0.0.2"}, "203.0.113.1"},
		{"a client that plays", "10.0.0.1:5", "", []string{"127.0.0.1, 10.9.9.9, 203.0.113.1"}, "203.0.113.1"},
		{"in lines of its own", "10.0.0.1:5", "", []string{"127.0.0.1", "203.0.113.1, 10.0.0.2"}, "203.0.113.1"},
		{"proxies alone", "10.0.0.1:5", "", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"nothing", "10.0.0.1:5", "", nil, "10.0.0.1"},
		{"garbage", "10.0.0.1:5", "", []string{"203.0.113.1, unknown"}, "10.0.0.1"},
		{"garbage before", "10.0.0.1:5", "", []string{"<script>, 203.0.113.1"}, "203.0.113.1"},
		{"with a port", "10.0.0.1:5", "", []string{"203.0.113.1:99"}, "203.0.113.1"},
		{"IPv6", "[2001:db8::1]:5", "", []string{"2001:db8::2"}, "2001:db8::2"},
		{"IPv6 with a port", "[2001:db8::1]:5", "", []string{"[2001:db8::2]:99"}, "2001:db8::2"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:5", "", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		{"the other header", "10.0.0.1:5", "Forwarded", []string{"for=203.0.113.1"}, "10.0.0.1"},

		{"Forwarded", "10.0.0.1:5", "Forwarded", []string{"for=203.0.113.1;proto=https;by=10.0.0.1"}, "203.0.113.1"},
		{"Forwarded, several", "10.0.0.1:5", "Forwarded", []string{`for=1.1.1.1, For="[2001:db8::7]:80";proto=http, for=10.0.0.2`}, "2001:db8::7"},
		{"Forwarded, hidden", "10.0.0.1:5", "Forwarded", []string{"for=1.1.1.1, for=_hidden"}, "10.0.0.1"},
		{"Forwarded, without for", "10.0.0.1:5", "Forwarded", []string{"for=1.1.1.1, proto=http"}, "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			read := front.XForwardedFor
			for _, line := range c.lines {
				if c.header == "" {
					r.Header.Add(front.XForwardedFor, line)
				} else {
					r.Header.Add(c.header, line)
				}
			}
			if c.header != "" && c.name != "the other header" {
				read = c.header
			}
			p, err := front.NewProxies(trusted, read)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Client(r).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			p.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.RemoteAddr, c.want) {
					t.Errorf("the handler sees %s, want %s", r.RemoteAddr, c.want)
				}
			})).ServeHTTP(nil, r)
		})
	}
	for _, bad := range []string{"proxy", "10.0.0.0/33", "10.0.0.1:80", ""} {
		if _, err := front.NewProxies([]string{bad}, front.XForwardedFor); err == nil {
			t.Errorf("%q: got nil, want it refused", bad)
		}
	}
}

func TestAllowsOrigin(t *testing.T) {
	patterns := []string{"https://app.example.com", "https://*.example.org:8443", "capacitor://localhost"}
	for _, c := range []struct {
		origins []string
		want    bool
	}{
		{nil, true}, // no browser
		{[]string{"https://app.example.com"}, true},
		{[]string{"HTTPS://App.Example.com"}, true},
		{[]string{"https://a.b.example.org:8443"}, true},
		{[]string{"capacitor://localhost"}, true},
		{[]string{"http://own.example"}, true}, // the request's own
		{[]string{"https://own.example"}, true},

		{[]string{"http://app.example.com"}, false},
		{[]string{"https://app.example.com.evil.com"}, false},
		{[]string{"https://app.example.com:444"}, false},
		{[]string{"https://evil.com"}, false},
		{[]string{"https://evil.com/.example.org:8443"}, false},
		{[]string{"https://evil.com#.example.org:8443"}, false},
		{[]string{"https://evil.com?.example.org:8443"}, false},
		{[]string{"https://x@evil.example.org:8443"}, false},
		{[]string{"null"}, false},
		{[]string{""}, false},
		{[]string{"own.example"}, false},
		{[]string{"https://own.example.evil.com"}, false},
		{[]string{"https://app.example.com", "https://app.example.com"}, false},
	} {
		r := httptest.NewRequest("GET", "http://own.example/socket.io/", nil)
		for _, o := range c.origins {
			r.Header.Add("Origin", o)
		}
		if got := front.AllowsOrigin(patterns, r); got != c.want {
			t.Errorf("%q: got %v", c.origins, got)
		}
		if !front.AllowsOrigin([]string{"https://a", "*"}, r) {
			t.Errorf("%q: refused, with every origin allowed", c.origins)
		}
	}
}
