package engineio

import (
	"encoding/binary"
	"errors"

	"github.com/carillonhq/carillon/transport"
)

// The messages between Servers. E is the node that a request came to, O the one
// that holds the session. A message is a byte for the version, one for its
// kind, and what belongs to the kind: numbers as uvarints, and texts and bytes
// behind their length. Req numbers a request of E's, and pipe a WebSocket at E
// that O counts.
const peerVersion = 1

type peerKind byte

const (
	kindGet      peerKind = iota + 1 // E → O: req, protocol, sid. O answers kindData, kindStatus or kindRefuse
	kindPost                         // E → O: req, protocol, sid, flags, body. O answers kindStatus or kindRefuse
	kindGone                         // E → O: req, sid. E's client has given req up, or E could not answer it
	kindNudge                        // E → O: req. It shall be answered now: E is about to leave
	kindUpgrade                      // E → O: req, protocol, sid. O answers kindOffer or kindRefuse
	kindProbed                       // E → O: pipe. E has answered the probe
	kindUpgraded                     // E → O: pipe. The client has completed the upgrade. O answers kindPiped, kindMoved or kindClose
	kindData                         // O → E: req, flags, body
	kindStatus                       // O → E: req, status. An answer without a body; of a POST, 200 is "ok"
	kindRefuse                       // O → E: req, code, name
	kindOffer                        // O → E: req, pipe; 0 if the session has no use for it
	kindPiped                        // O → E: pipe
	kindMoved                        // O → E: pipe, state
	kindIn                           // E → O: pipe, flags, body. A frame of the client
	kindOut                          // O → E: flags, pipes, frames. Frames for clients
	kindCredit                       // E → O: pipe, bytes that the client has taken
	kindGrant                        // O → E: pipe, bytes of the client that were taken
	kindEnd                          // E → O: pipe, cause. The WebSocket has ended
	kindClose                        // O → E: pipe, how. It shall end; also the answer to what is of no pipe
)

// The bits of flags.
const (
	flagBinary   = 1 << iota // octets, or a binary frame
	flagCompress             // it may be compressed
)

var errPeerMessage = errors.New("engineio: malformed message of a peer")

func peerMessage(kind peerKind, numbers ...uint64) []byte {
	b := make([]byte, 2, 64)
	b[0], b[1] = peerVersion, byte(kind)
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendNumber(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendFrames(b []byte, f *transport.Frames) []byte {
	parts := f.Parts()
	b = binary.AppendUvarint(b, uint64(len(parts)))
	for _, p := range parts {
		b = append(b, frameFlags(p.Binary))
		b = appendText(b, p.Data)
	}
	return b
}

func frameFlags(isBinary bool) byte {
	if isBinary {
		return flagBinary
	}
	return 0
}

// A peerReader takes a message apart. After an error all it returns is empty.
type peerReader struct {
	b   []byte
	err error
}

func (r *peerReader) fail() { r.b, r.err = nil, errPeerMessage }

func (r *peerReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *peerReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// bytes returns a view into the message.
func (r *peerReader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *peerReader) text() string { return string(r.bytes()) }

// numbers reads as many as the first says.
func (r *peerReader) numbers() []uint64 {
	n := r.number()
	if n > uint64(len(r.b)) { // each takes a byte at least
		r.fail()
		return nil
	}
	all := make([]uint64, n)
	for i := range all {
		all[i] = r.number()
	}
	return all
}

func (r *peerReader) frames() []transport.Frame {
	n := r.number()
	if n > uint64(len(r.b))/2 { // each takes two bytes at least
		r.fail()
		return nil
	}
	all := make([]transport.Frame, n)
	for i := range all {
		all[i].Binary = r.byte()&flagBinary != 0
		all[i].Data = r.bytes()
	}
	return all
}

// end reports whether all was read, and well.
func (r *peerReader) end() bool { return r.err == nil && len(r.b) == 0 }
