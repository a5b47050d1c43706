package socketio

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxDepth bounds how deep MessagePack nests, in what clients send and in what
// they are sent. Browsers' decoders are recursive, too.
const maxDepth = 256

type tokenKind byte

const (
	kindNil tokenKind = iota
	kindBool
	kindInt
	kindFloat
	kindStr
	kindBin
	kindArray
	kindMap
	kindExt
)

// A token is a value of MessagePack, but for the items of arrays and maps.
type token struct {
	kind tokenKind
	ext  int8   // type of kindExt
	big  bool   // kindInt beyond int64
	n    int    // items of kindArray and kindMap
	bits uint64 // of kindBool (0 or 1), kindInt (two's complement) and kindFloat (a float64)
	data []byte // of kindStr, kindBin and kindExt
}

// int returns the value of kindInt, if it is not big; then it is negative.
func (t token) int() int64 { return int64(t.bits) }

// absent reports whether the token is nil, or undefined as notepack.io before
// version 3 writes it.
func (t token) absent() bool {
	return t.kind == kindNil || t.kind == kindExt && t.ext == 0 && len(t.data) == 1
}

// heads holds, for 0xc4 to 0xdf, the kind of a token and the bytes that follow
// its first: those of its value, or of its length (as -1, -2, -4).
var heads = [...]struct {
	kind tokenKind
	size int8
}{
	{kindBin, -1},
	{kindBin, -2},
	{kindBin, -4},
	{kindExt, -1},
	{kindExt, -2},
	{kindExt, -4},
	{kindFloat, 4},
	{kindFloat, 8},
	{kindInt, 1},
	{kindInt, 2},
	{kindInt, 4},
	{kindInt, 8},
	{kindInt, 1},
	{kindInt, 2},
	{kindInt, 4},
	{kindInt, 8},
	{kindExt, 1},
	{kindExt, 2},
	{kindExt, 4},
	{kindExt, 8},
	{kindExt, 16},
	{kindStr, -1},
	{kindStr, -2},
	{kindStr, -4},
	{kindArray, -2},
	{kindArray, -4},
	{kindMap, -2},
	{kindMap, -4},
}

var errShort = fmt.Errorf("%w: MessagePack ends too early", errPacket)

// readToken reads the token that b begins with. An array or map has no more
// items than there are bytes for.
func readToken(b []byte) (t token, rest []byte, err error) {
	if len(b) == 0 {
		return t, nil, errShort
	}
	c, b := b[0], b[1:]
	size := 0 // of data, or items
	switch {
	case c < 0x80 || c >= 0xe0:
		return token{kind: kindInt, bits: uint64(int64(int8(c)))}, b, nil
	case c < 0x90:
		t.kind, size = kindMap, int(c&0x0f)
	case c < 0xa0:
		t.kind, size = kindArray, int(c&0x0f)
	case c < 0xc0:
		t.kind, size = kindStr, int(c&0x1f)
	case c == 0xc0:
		return t, b, nil
	case c == 0xc1:
		return t, nil, fmt.Errorf("%w: unknown MessagePack", errPacket)
	case c < 0xc4:
		return token{kind: kindBool, bits: uint64(c & 1)}, b, nil
	default:
		head := heads[c-0xc4]
		t.kind, size = head.kind, int(head.size)
		if size < 0 {
			width := -size
			if len(b) < width {
				return t, nil, errShort
			}
			n := bigEndian(b[:width])
			if n > uint64(len(b)) {
				return t, nil, errShort
			}
			size, b = int(n), b[width:]
		}
	}
	switch t.kind {
	case kindArray, kindMap:
		t.n = size
		if t.kind == kindMap {
			size *= 2
		}
		if size > len(b) {
			return t, nil, errShort
		}
		return t, b, nil
	case kindExt:
		if len(b) == 0 {
			return t, nil, errShort
		}
		t.ext, b = int8(b[0]), b[1:]
	}
	if size > len(b) {
		return t, nil, errShort
	}
	t.data, b = b[:size:size], b[size:]
	switch {
	case t.kind == kindFloat && size == 4:
		t.bits = math.Float64bits(float64(math.Float32frombits(uint32(bigEndian(t.data)))))
	case t.kind == kindFloat:
		t.bits = bigEndian(t.data)
	case t.kind == kindInt && c < 0xd0:
		t.bits = bigEndian(t.data)
		t.big = t.bits > math.MaxInt64
	case t.kind == kindInt:
		shift := 64 - 8*size
		t.bits = uint64(int64(bigEndian(t.data)<<shift) >> shift)
	}
	return t, b, nil
}

func bigEndian(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// checkMsgpack fails unless b is one value, nested no deeper than maxDepth,
// whose maps' keys are strings or integers. It reports whether all strings are
// UTF-8.
func checkMsgpack(b []byte) (utf bool, err error) {
	utf = true
	rest, err := checkValue(b, maxDepth, &utf)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: bytes behind MessagePack", errPacket)
	}
	return utf, err
}

func checkValue(b []byte, depth int, utf *bool) (rest []byte, err error) {
	t, rest, err := readToken(b)
	switch t.kind {
	case kindStr:
		*utf = *utf && utf8.Valid(t.data)
	case kindArray, kindMap:
		if depth == 0 {
			return nil, errDepth
		}
		for range t.n {
			if t.kind == kindMap {
				if key, _, err := readToken(rest); err == nil && key.kind != kindStr && key.kind != kindInt {
					return nil, fmt.Errorf("%w: key of a map is no string", errPacket)
				}
				if rest, err = checkValue(rest, 0, utf); err != nil {
					return nil, err
				}
			}
			if rest, err = checkValue(rest, depth-1, utf); err != nil {
				return nil, err
			}
		}
	}
	return rest, err
}

var errDepth = fmt.Errorf("%w: nested too deep", errPacket)

// skipValue returns what follows the value that b begins with, once b passed
// checkMsgpack.
func skipValue(b []byte) []byte {
	for left := 1; left > 0; left-- {
		var t token
		t, b, _ = readToken(b)
		left += t.n
		if t.kind == kindMap {
			left += t.n
		}
	}
	return b
}

// msgpackForm is the Form of values that passed checkMsgpack.
type msgpackForm struct{}

// AppendJSON implements Form.
func (msgpackForm) AppendJSON(b, value []byte) ([]byte, error) {
	if _, err := checkMsgpack(value); err != nil { // of NewRaw's caller
		return nil, err
	}
	b, _ = appendJSON(b, value)
	return b, nil
}

// appendJSON appends the value that in begins with, and returns what follows
// it. What JSON can't say is null, as in JSON.stringify.
func appendJSON(b, in []byte) (_, rest []byte) {
	t, in, _ := readToken(in)
	switch t.kind {
	case kindBool:
		return strconv.AppendBool(b, t.bits == 1), in
	case kindInt:
		if t.big {
			return strconv.AppendUint(b, t.bits, 10), in
		}
		return strconv.AppendInt(b, t.int(), 10), in
	case kindFloat:
		return appendFloat(b, math.Float64frombits(t.bits)), in
	case kindStr:
		return appendQuoted(b, validUTF8(t.data)), in
	case kindBin:
		return appendInline(b, t.data), in
	case kindExt:
		return appendExt(b, t), in
	case kindArray:
		b = append(b, '[')
		for i := range t.n {
			if i > 0 {
				b = append(b, ',')
			}
			b, in = appendJSON(b, in)
		}
		return append(b, ']'), in
	case kindMap:
		b = append(b, '{')
		for i := range t.n {
			if i > 0 {
				b = append(b, ',')
			}
			var key token
			if key, _, _ = readToken(in); key.kind == kindInt {
				b = append(b, '"')
				b, in = appendJSON(b, in)
				b = append(b, '"')
			} else {
				b, in = appendJSON(b, in)
			}
			b = append(b, ':')
			b, in = appendJSON(b, in)
		}
		return append(b, '}'), in
	}
	return append(b, "null"...), in
}

// appendFloat writes integers as JavaScript does: so that they are some.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(b, "null"...)
	case math.Abs(f) < 1e21 && (math.Abs(f) >= 1e-6 || f == 0):
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'e', -1, 64)
}

// appendExt appends a date as JavaScript's Date.toJSON does, undefined as
// null, and what else there may be as notepack.io decodes it: [type, bytes].
func appendExt(b []byte, t token) []byte {
	var date time.Time
	switch {
	case t.absent():
		return append(b, "null"...)
	case t.ext == 0 && len(t.data) == 8: // notepack.io before version 3
		date = time.UnixMilli(int64(binary.BigEndian.Uint64(t.data)))
	case t.ext == -1 && len(t.data) == 4:
		date = time.Unix(int64(binary.BigEndian.Uint32(t.data)), 0)
	case t.ext == -1 && len(t.data) == 8:
		n := binary.BigEndian.Uint64(t.data)
		date = time.Unix(int64(n&(1<<34-1)), int64(n>>34))
	case t.ext == -1 && len(t.data) == 12:
		date = time.Unix(int64(binary.BigEndian.Uint64(t.data[4:])), int64(binary.BigEndian.Uint32(t.data)))
	default:
		b = strconv.AppendInt(append(b, '['), int64(t.ext), 10)
		b = appendInline(append(b, ','), t.data)
		return append(b, ']')
	}
	date = date.UTC()
	if y := date.Year(); y < 0 || y > 9999 { // which time.Time doesn't decode
		return append(b, "null"...)
	}
	layout := `"2006-01-02T15:04:05.000Z"`
	if date.Nanosecond()%int(time.Millisecond) != 0 {
		layout = `"2006-01-02T15:04:05.000000000Z"`
	}
	return date.AppendFormat(b, layout)
}
