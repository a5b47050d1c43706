package socketio_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
)

// getBundle asks for a file of the client, and returns its bytes as sent.
func getBundle(t *testing.T, method, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

// What is served is, to the byte, what the npm package holds.
func TestBundles(t *testing.T) {
	_, url := serve(t, socketio.Options{}, nil)
	sums, err := os.Open("client/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	n := 0
	for lines := bufio.NewScanner(sums); lines.Scan(); n++ {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		file := url + "/socket.io/" + name
		for _, coding := range []string{"identity", "gzip", "deflate"} {
			res, body := getBundle(t, "GET", file, "Accept-Encoding", coding)
			var r io.Reader = bytes.NewReader(body)
			var err error
			switch coding {
			case "gzip":
				r, err = gzip.NewReader(r)
			case "deflate":
				r, err = zlib.NewReader(r)
			}
			if err != nil {
				t.Fatalf("%s by %s: %v", name, coding, err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("%s by %s: %v", name, coding, err)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(plain)); got != sum {
				t.Errorf("%s by %s: got %s of %d bytes, want %s", name, coding, got, len(plain), sum)
			}
			want := coding
			if coding == "identity" {
				want = ""
			}
			if got := res.Header.Get("Content-Encoding"); got != want {
				t.Errorf("%s: Content-Encoding %q, want %q", name, got, want)
			}
			kind := "application/javascript; charset=utf-8"
			if strings.HasSuffix(name, ".map") {
				kind = "application/json; charset=utf-8"
			}
			for header, want := range map[string]string{
				"Content-Type": kind, "Cache-Control": "public, max-age=0", "ETag": `"4.8.4"`, "Vary": "Accept-Encoding",
				"Content-Length": fmt.Sprint(len(body)),
			} {
				if got := res.Header.Get(header); got != want {
					t.Errorf("%s by %s: %s %q, want %q", name, coding, header, got, want)
				}
			}
		}
		if strings.HasSuffix(name, ".js") {
			if _, body := getBundle(t, "GET", file); !bytes.Contains(body[:200], []byte("Socket.IO v4.8.4")) {
				t.Errorf("%s is of another version than its ETag: %.80q", name, body)
			}
		}
	}
	if n != 8 {
		t.Errorf("got %d files, want 8", n)
	}
}

func TestBundleRequests(t *testing.T) {
	_, url := serve(t, socketio.Options{}, nil)
	file := url + "/socket.io/socket.io.min.js"
	for _, tag := range []string{`"4.8.4"`, `W/"4.8.4"`, `"x", W/"4.8.4"`} {
		res, body := getBundle(t, "GET", file+"?t=1", "If-None-Match", tag)
		if res.StatusCode != 304 || len(body) != 0 || res.Header.Get("ETag") != `"4.8.4"` {
			t.Errorf("If-None-Match %s: got %s and %d bytes", tag, res.Status, len(body))
		}
	}
	if res, _ := getBundle(t, "GET", file, "If-None-Match", `"4.8.3"`); res.StatusCode != 200 {
		t.Errorf("another version: got %s", res.Status)
	}
	if res, body := getBundle(t, "HEAD", file, "Accept-Encoding", "gzip"); res.StatusCode != 200 || len(body) != 0 || res.ContentLength < 10000 {
		t.Errorf("HEAD: got %s, %d bytes, Content-Length %d", res.Status, len(body), res.ContentLength)
	}
	for accept, want := range map[string]string{
		"gzip, deflate, br": "gzip", "br": "", "*": "gzip", "deflate, gzip;q=0.5": "deflate", "GZIP": "gzip", "gzip;q=0, *": "deflate",
		"identity, gzip;q=0.5": "", "gzip ; q=0": "", "": "", "gzip;q=x": "",
	} {
		if res, _ := getBundle(t, "GET", file, "Accept-Encoding", accept); res.Header.Get("Content-Encoding") != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", accept, res.Header.Get("Content-Encoding"), want)
		}
	}
	for _, name := range []string{"socket.io.msgpack.js", "socket.io.esm.js", "socket.io.min.js.gz", "socket.io.", "LICENSE", "socket.io.js.map.map", "..%2fclient%2fLICENSE"} {
		if res, body := getBundle(t, "GET", url+"/socket.io/"+name); res.StatusCode == 200 {
			t.Errorf("%s: got %s, %.40q", name, res.Status, body)
		}
	}
	if res, _ := getBundle(t, "POST", file); res.StatusCode == 200 {
		t.Errorf("POST: got %s", res.Status)
	}
	_, url = serve(t, socketio.Options{NoClient: true}, nil)
	if res, _ := getBundle(t, "GET", url+"/socket.io/socket.io.min.js"); res.StatusCode == 200 {
		t.Errorf("NoClient: got %s", res.Status)
	}
}

func TestBundlesAtTheSameTime(t *testing.T) {
	_, url := serve(t, socketio.Options{}, nil)
	var wg sync.WaitGroup
	for _, coding := range []string{"gzip", "deflate", "identity", "deflate"} {
		wg.Go(func() {
			if res, body := getBundle(t, "GET", url+"/socket.io/socket.io.js.map", "Accept-Encoding", coding); res.StatusCode != 200 || len(body) == 0 {
				t.Errorf("%s: got %s", coding, res.Status)
			}
		})
	}
	wg.Wait()
}
