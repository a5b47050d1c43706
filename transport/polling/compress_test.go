package polling_test

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/transporttest"
)

func TestNegotiate(t *testing.T) {
	for _, test := range []struct{ header, want string }{
		{"", ""},
		{"identity", ""},
		{"gzip", "gzip"},
		{"gzip, deflate, br", "gzip"},
		{"deflate, gzip", "gzip"},
		{"br, deflate", "deflate"},
		{"GZip", "gzip"},
		{"gzip;q=0", ""},
		{"gzip;q=0, deflate", "deflate"},
		{"gzip; q=0.5, deflate;q=0.8", "deflate"},
		{"*", "gzip"},
		{"*;q=0", ""},
		{"gzip;q=0, *", "deflate"},
		{"gzip;q=2", ""},
		{"gzip;q=x", ""},
		{"gzip;level=9;q=1", "gzip"},
		{",,;", ""},
	} {
		if got := polling.Negotiate([]string{test.header}); got != test.want {
			t.Errorf("negotiate(%q) = %q, want %q", test.header, got, test.want)
		}
	}
	if got := polling.Negotiate([]string{"br", "deflate"}); got != "deflate" {
		t.Errorf("two lines: %q, want deflate", got)
	}
	if got := polling.Negotiate(nil); got != "" {
		t.Errorf("no line: %q", got)
	}
}

func TestCompression(t *testing.T) {
	conn, c := open(t, polling.Options{}, transporttest.NewRecorder(t))
	for _, test := range []struct {
		accept string
		n      int
		want   string
		reader func(io.Reader) (io.Reader, error)
	}{
		{"gzip, deflate", 1023, "", nil},
		{"gzip, deflate", 1024, "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"deflate", 5000, "deflate", func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }},
		{"deflate", 9000, "deflate", func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }}, // a pooled writer
		{"br", 5000, "", nil},
		{"", 5000, "", nil},
	} {
		body := "4" + strings.Repeat("z", test.n-1)
		if err := conn.Send(transport.Text(body)); err != nil {
			t.Fatal(err)
		}
		header, got, err := c.do(http.MethodGet, "", "Accept-Encoding", test.accept)
		if err != nil {
			t.Fatal(err)
		}
		if enc := header.Get("Content-Encoding"); enc != test.want {
			t.Errorf("%q, %d bytes: encoded as %q, want %q", test.accept, test.n, enc, test.want)
		}
		if header.Get("Content-Length") != strconv.Itoa(len(got)) {
			t.Errorf("Content-Length %s, want %d", header.Get("Content-Length"), len(got))
		}
		if test.reader != nil {
			r, err := test.reader(strings.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) >= len(plain) {
				t.Errorf("%d bytes became %d", len(plain), len(got))
			}
			got = string(plain)
		}
		if got != body {
			t.Errorf("%q, %d bytes: another body came", test.accept, test.n)
		}
	}
}

func TestCompressionOff(t *testing.T) {
	conn, c := open(t, polling.Options{MinCompress: -1}, transporttest.NewRecorder(t))
	if err := conn.Send(transport.Text("4" + strings.Repeat("z", 5000))); err != nil {
		t.Fatal(err)
	}
	header, _, err := c.do(http.MethodGet, "", "Accept-Encoding", "gzip")
	if err != nil || header.Get("Content-Encoding") != "" {
		t.Errorf("encoded as %q (%v)", header.Get("Content-Encoding"), err)
	}
}
