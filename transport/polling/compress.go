package polling

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strconv"
	"strings"
	"sync"
)

// A compressor keeps the writers of both encodings for reuse: a new one costs
// hundreds of kilobytes.
type compressor struct {
	gzip, deflate sync.Pool
}

type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

// compress returns body in the given encoding, "gzip" or "deflate". The
// latter is the zlib format (RFC 9110, section 8.4.1.2).
func (z *compressor) compress(encoding string, body []byte) []byte {
	pool := &z.gzip
	if encoding == "deflate" {
		pool = &z.deflate
	}
	var out bytes.Buffer
	w, ok := pool.Get().(resetWriter)
	switch {
	case ok:
		w.Reset(&out)
	case encoding == "deflate":
		w, _ = zlib.NewWriterLevel(&out, zlib.BestSpeed) // a valid level
	default:
		w, _ = gzip.NewWriterLevel(&out, gzip.BestSpeed)
	}
	_, _ = w.Write(body) // a Buffer takes everything
	_ = w.Close()
	pool.Put(w)
	return out.Bytes()
}

// negotiate picks gzip, else deflate, else none ("") by the values of
// Accept-Encoding (RFC 9110, section 12.5.3), with the client's weights.
func negotiate(values []string) string {
	best, bestQ := "", 0.0
	star := -1.0
	named := map[string]bool{}
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(item, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			q := weight(params)
			switch name {
			case "gzip", "deflate":
				named[name] = true
				if q > bestQ || q == bestQ && q > 0 && name == "gzip" {
					best, bestQ = name, q
				}
			case "*":
				star = q
			}
		}
	}
	if star > bestQ {
		for _, name := range []string{"gzip", "deflate"} {
			if !named[name] {
				return name
			}
		}
	}
	return best
}

// weight returns the q of an item's parameters, 1 where there is none and 0
// where it cannot be read.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}
