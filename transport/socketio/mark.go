package socketio

import (
	"bytes"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport"
)

// mark is adapter.LogOptions.Build: the *outgoing of an event with an offset as
// its last argument.
func (n *Namespace) mark(data []byte, at adapter.Position, heard []byte, noCompress bool) (form any, size int) {
	if _, ok := n.server.opts.Parser.(jsonParser); ok && isText(data) {
		o := markText(data, adapter.Place{Node: n.log.Node(), At: at}, heard, noCompress)
		if o == nil {
			return nil, 0
		}
		return o, o.size()
	}
	e, ok := decodeData(data)
	if !ok {
		return nil, 0
	}
	e, ok = n.withArg(e, n.offset(at, heard))
	if !ok {
		return nil, 0
	}
	o := newOutgoing(e, NoID, noCompress)
	o.marked = true
	return o, o.size()
}

// markText is mark of what is one text frame of the default Parser: the event
// and its offset are copied once, to where they are sent from. It returns nil
// where appendArg refuses.
func markText(data []byte, at adapter.Place, heard []byte, noCompress bool) *outgoing {
	event := data[1:]
	end, ok := argsEnd(event)
	if !ok || !isMessage(event) {
		return nil
	}
	var space [160]byte // more than an offset takes
	tail := append(space[:0], ',', '"')
	tail = appendOffset(tail, at, heard)
	tail = append(tail, '"', ']')
	o := &outgoing{frames: transport.JoinText(event[:end], tail), id: NoID, marked: true}
	if noCompress {
		o.frames.NoCompress()
	}
	return o
}

// unmark is adapter.LogOptions.Data, the inverse of mark.
func (n *Namespace) unmark(form any) []byte {
	o, _ := form.(*outgoing)
	if o == nil {
		return nil
	}
	parts := o.frames.Parts()
	if _, ok := n.server.opts.Parser.(jsonParser); ok && o.marked && len(parts) > 0 && !parts[0].Binary {
		// The offset, which needs no escape, is what follows the last comma.
		text := parts[0].Data
		if i := bytes.LastIndexByte(text, ','); i > 0 {
			first := append(append(make([]byte, 0, i+1), text[:i]...), ']')
			return append(encoded{{Data: first}}, parts[1:]...).data()
		}
	}
	if o = o.plain(n); o == nil {
		return nil
	}
	return encoded(o.frames.Parts()).data()
}

// withArg returns an event with a text, which needs no escape, as one more
// argument.
func (n *Namespace) withArg(e encoded, text string) (encoded, bool) {
	if _, ok := n.server.opts.Parser.(jsonParser); ok {
		return appendArg(e, text)
	}
	p := n.decode(e)
	if p == nil || p.Type != TypeEvent {
		return nil, false
	}
	p.Args = append(p.Args, Raw{data: appendQuoted(nil, text)})
	frames, err := n.server.opts.Parser.Encode(p)
	return frames, err == nil
}

// appendArg is withArg for the default Parser: nothing is decoded.
func appendArg(e encoded, text string) (encoded, bool) {
	if len(e) == 0 || e[0].Binary {
		return nil, false
	}
	event := e[0].Data
	end, ok := argsEnd(event)
	if !ok {
		return nil, false
	}
	b := make([]byte, 0, len(event)+len(text)+3)
	b = append(b, event[:end]...)
	b = append(b, ',', '"')
	b = append(b, text...)
	b = append(b, '"', ']')
	marked := append(encoded{{Data: b}}, e[1:]...)
	return marked, true
}

// argsEnd returns where one more argument goes in an event's text.
func argsEnd(event []byte) (end int, ok bool) {
	end = len(event) - 1
	return end, end >= 1 && event[end] == ']' && event[end-1] != '['
}

// size returns the bytes of the event's frames.
func (o *outgoing) size() (n int) {
	for _, f := range o.frames.Parts() {
		n += len(f.Data)
	}
	return n
}

// plain returns the event without its offset, for clients who don't know what
// that is: those of Socket.IO 2.x.
func (o *outgoing) plain(n *Namespace) *outgoing {
	if !o.marked {
		return o
	}
	d := o.decode()
	d.plainOnce.Do(func() {
		p := n.decode(encoded(o.frames.Parts()))
		if p == nil || len(p.Args) < 2 {
			return
		}
		p.Args = p.Args[:len(p.Args)-1]
		if frames, err := n.server.opts.Parser.Encode(p); err == nil {
			d.unmarked = newOutgoing(frames, o.id, !o.frames.Compressible())
		}
	})
	return d.unmarked
}
