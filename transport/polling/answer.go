package polling

import (
	"encoding/json"
	"slices"

	"github.com/carillonhq/carillon/transport"
)

// The packets of Engine.IO that a poll itself is ended with.
const (
	closePacket = "1"
	noopPacket  = "6"
)

// An Answer is what a poll is answered with.
type Answer struct {
	Body     []byte // must not be changed
	Binary   bool   // it is application/octet-stream, as in protocol 3; else text
	Compress bool   // it may be

	sends int
}

// payload returns the answer of the frames of several runs, or else of a packet
// of our own.
func (c *Conn) payload(runs []*transport.Frames, packet string) Answer {
	a := Answer{sends: len(runs)}
	// As in Node, one packet that may be compressed takes the others along.
	a.Compress = slices.ContainsFunc(runs, (*transport.Frames).Compressible)
	if len(runs) == 0 {
		runs = []*transport.Frames{transport.Text(packet)}
	}
	switch {
	case c.dialect.Version() == 4:
		a.Body = join(runs)
	case c.dialect.Binary() && slices.ContainsFunc(runs, (*transport.Frames).HasBinary):
		a.Body, a.Binary = join3(runs, true), true
	default:
		a.Body = join3(runs, false)
	}
	if c.callback != "" {
		js, _ := json.Marshal(string(a.Body)) // a string always encodes; what JSON may hold and a script may not is escaped
		a.Body = slices.Concat([]byte(c.callback+"("), js, []byte(");"))
	}
	return a
}

// join returns the payload of several runs of frames
// (Engine.IO protocol 4, "HTTP long-polling").
func join(runs []*transport.Frames) []byte {
	if len(runs) == 1 {
		return runs[0].Polling()
	}
	n := len(runs)
	for _, f := range runs {
		n += len(f.Polling())
	}
	b := make([]byte, 0, n)
	for i, f := range runs {
		if i > 0 {
			b = append(b, transport.Separator)
		}
		b = append(b, f.Polling()...)
	}
	return b
}

// join3 is join for protocol 3.
func join3(runs []*transport.Frames, records bool) []byte {
	if len(runs) == 1 {
		return runs[0].Polling3(records)
	}
	var b []byte
	for _, f := range runs {
		b = append(b, f.Polling3(records)...)
	}
	return b
}
