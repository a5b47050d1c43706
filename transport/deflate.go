package transport

import (
	"bytes"
	"compress/flate"
	"sync"
)

// A Deflater compresses the messages of WebSockets (RFC 7692) without context
// takeover: what it makes of a Frames suits every client that has agreed to
// permessage-deflate with a window of 15 bits. It may be used concurrently.
type Deflater struct {
	threshold int
	writers   sync.Pool // *flate.Writer: a new one costs hundreds of kilobytes
}

// NewDeflater returns a Deflater for messages of threshold bytes and more.
// The level is from 1 to 9, as in compress/flate; any other stands for
// flate.BestSpeed.
func NewDeflater(threshold, level int) *Deflater {
	if level < flate.BestSpeed || level > flate.BestCompression {
		level = flate.BestSpeed
	}
	z := &Deflater{threshold: threshold}
	z.writers.New = func() any {
		w, _ := flate.NewWriter(nil, level) // a valid level
		return w
	}
	return z
}

// Deflated is WebSocketAs with the frames compressed that are worth it. It is
// made once: of several Deflaters the first that is named does it, for all.
// The caller must not change it.
func (f *Frames) Deflated(d Dialect, z *Deflater) []byte {
	if f.plain || !f.reaches(z.threshold) {
		return f.WebSocketAs(d)
	}
	if !f.binary {
		d = V4 // all the same
	}
	return f.rarely().deflated[d].get(func() []byte {
		var b []byte
		for _, p := range f.in(d) {
			b = z.append(b, p)
		}
		return b
	})
}

// reaches reports whether a frame has n bytes or more.
func (f *Frames) reaches(n int) bool {
	for _, p := range f.parts {
		if len(p.Data) >= n {
			return true
		}
	}
	return false
}

// flushed is how a flush ends, which messages leave out (RFC 7692, section
// 7.2.1).
var flushed = []byte{0, 0, 0xff, 0xff}

// append appends p as a WebSocket frame, compressed if that makes it smaller.
func (z *Deflater) append(b []byte, p Frame) []byte {
	if len(p.Data) >= z.threshold {
		var out bytes.Buffer
		w := z.writers.Get().(*flate.Writer)
		w.Reset(&out)
		_, _ = w.Write(p.Data) // a Buffer takes everything
		_ = w.Flush()
		z.writers.Put(w)
		if small := bytes.TrimSuffix(out.Bytes(), flushed); len(small) < len(p.Data) {
			at := len(b)
			b = appendHeader(b, p.Binary, len(small))
			b[at] |= 0x40 // RSV1: compressed
			return append(b, small...)
		}
	}
	return append(appendHeader(b, p.Binary, len(p.Data)), p.Data...)
}
