package socketio

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"hash/adler32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// The JavaScript client, version bundleVersion, from the npm package
// socket.io-client: each file of its dist folder by gzip, and its licence
// (MIT) beside them.
//
//go:generate go run client/embed.go $SOCKETIO_CLIENT client
//go:embed client/*.gz
var bundleFiles embed.FS

const bundleVersion = "4.8.4"

// A bundle is one file of the client, in the codings that there are. No brotli:
// whoever takes that takes gzip, too.
type bundle struct {
	gzip              []byte
	identity, deflate func() []byte // made of gzip when first asked for
}

// bundles are the client's files by name.
var bundles = sync.OnceValue(func() map[string]*bundle {
	files := make(map[string]*bundle)
	entries, _ := bundleFiles.ReadDir("client") // embedded: it is there
	for _, e := range entries {
		data, _ := bundleFiles.ReadFile("client/" + e.Name())
		b := &bundle{gzip: data}
		b.identity = sync.OnceValue(b.unzip)
		b.deflate = sync.OnceValue(b.zlib)
		files[strings.TrimSuffix(e.Name(), ".gz")] = b
	}
	return files
})

func (b *bundle) unzip() []byte {
	r, err := gzip.NewReader(bytes.NewReader(b.gzip))
	if err != nil {
		return nil
	}
	data, _ := io.ReadAll(r) // a test holds it against the file's checksum
	return data
}

// zlib returns the file in the coding that HTTP calls deflate: the stream that
// gzip frames (RFC 1952: 10 bytes before, 8 behind), framed by zlib (RFC 1950).
func (b *bundle) zlib() []byte {
	data := append([]byte{0x78, 0xda}, b.gzip[10:len(b.gzip)-8]...)
	return binary.BigEndian.AppendUint32(data, adler32.Checksum(b.identity()))
}

// serveBundle answers a request for a file of the client, as Node's server
// does, and reports whether it was one.
func serveBundle(w http.ResponseWriter, r *http.Request, name string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !strings.HasPrefix(name, "socket.io.") {
		return false
	}
	file := bundles()[name]
	if file == nil {
		return false
	}
	const etag = `"` + bundleVersion + `"`
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=0")
	h.Set("ETag", etag)
	// A module of another origin is loaded with CORS only, and all may have it.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Add("Vary", "Accept-Encoding") // which Node's forgets: a cache may hold several codings
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == etag {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	h.Set("Content-Type", "application/javascript; charset=utf-8")
	if strings.HasSuffix(name, ".map") {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	var body []byte
	switch coding := chooseCoding(strings.Join(r.Header.Values("Accept-Encoding"), ",")); coding {
	case "gzip":
		h.Set("Content-Encoding", coding)
		body = file.gzip
	case "deflate":
		h.Set("Content-Encoding", coding)
		body = file.deflate()
	default:
		body = file.identity()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // which net/http leaves out of the answer to HEAD
	return true
}

// chooseCoding returns the coding that an Accept-Encoding header likes best
// (RFC 9110, section 12.5.3): gzip, then deflate, then identity among equals.
func chooseCoding(accept string) string {
	best, most := "identity", 0.0
	for _, coding := range []string{"gzip", "deflate", "identity"} {
		if q := quality(accept, coding); q > most {
			best, most = coding, q
		}
	}
	return best
}

// quality returns the weight that the header gives a coding, by its name or by
// the star; 0 if it has neither.
func quality(accept, coding string) float64 {
	star := 0.0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != coding && name != "*" {
			continue
		}
		q := 1.0
		if _, value, ok := strings.Cut(params, "="); ok {
			q, _ = strconv.ParseFloat(strings.TrimSpace(value), 64) // 0 for nonsense
		}
		if name == coding {
			return q
		}
		star = q
	}
	return star
}
