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

// payload returns what a poll is answered with: the frames of several runs,
// or else a packet of our own; and its content type. The caller must not
// change it.
func (c *Conn) payload(runs []*transport.Frames, packet string) (body []byte, kind string) {
	kind = "text/plain; charset=UTF-8"
	if len(runs) == 0 {
		runs = []*transport.Frames{transport.Text(packet)}
	}
	switch {
	case c.dialect.Version() == 4:
		body = join(runs)
	case c.dialect.Binary() && slices.ContainsFunc(runs, (*transport.Frames).HasBinary):
		body, kind = join3(runs, true), "application/octet-stream"
	default:
		body = join3(runs, false)
	}
	if c.callback != "" {
		js, _ := json.Marshal(string(body)) // a string always encodes; what JSON may hold and a script may not is escaped
		body = slices.Concat([]byte(c.callback+"("), js, []byte(");"))
	}
	return body, kind
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
