package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// packJSON appends JSON text to b as MessagePack, and what Binary.MarshalJSON
// made as bin. Numbers take the smallest integer that holds them, or else
// float64: never float32, in which JavaScript's would lose digits.
func packJSON(b, text []byte) ([]byte, error) {
	p := packer{in: text, out: b}
	if err := p.value(maxDepth); err != nil {
		return nil, err
	}
	return p.out, nil
}

type packer struct {
	in  []byte
	out []byte
}

var errJSON = fmt.Errorf("socketio: not JSON")

// peek returns the next byte that is no space, or 0.
func (p *packer) peek() byte {
	for len(p.in) > 0 {
		switch c := p.in[0]; c {
		case ' ', '\t', '\r', '\n':
			p.in = p.in[1:]
		default:
			return c
		}
	}
	return 0
}

func (p *packer) value(depth int) error {
	switch p.peek() {
	case '{', '[':
		if depth == 0 {
			return fmt.Errorf("socketio: nested deeper than %d", maxDepth)
		}
		return p.items(depth - 1)
	case '"':
		return p.str()
	case 'n':
		return p.literal("null", 0xc0)
	case 'f':
		return p.literal("false", 0xc2)
	case 't':
		return p.literal("true", 0xc3)
	}
	return p.number()
}

// items packs an array or an object. How many items there are shows at the
// end: where one byte is not enough for that, room is made.
func (p *packer) items(depth int) error {
	fix, wide, end := byte(0x90), byte(0xdc), byte(']')
	if p.in[0] == '{' {
		fix, wide, end = 0x80, 0xde, '}'
	}
	p.in = p.in[1:]
	head := len(p.out)
	p.out = append(p.out, fix)
	n := 0
	for ; p.peek() != end; n++ {
		if n > 0 {
			if err := p.expect(','); err != nil {
				return err
			}
		}
		if end == '}' {
			if p.peek() != '"' {
				return errJSON
			}
			if err := p.str(); err != nil {
				return err
			}
			if err := p.expect(':'); err != nil {
				return err
			}
		}
		if err := p.value(depth); err != nil {
			return err
		}
	}
	p.in = p.in[1:]
	if n < 16 {
		p.out[head] |= byte(n)
		return nil
	}
	p.out = slices.Replace(p.out, head, head+1, appendCount(nil, fix, wide, n)...)
	return nil
}

func (p *packer) expect(c byte) error {
	if p.peek() != c {
		return errJSON
	}
	p.in = p.in[1:]
	return nil
}

func (p *packer) literal(text string, code byte) error {
	if !bytes.HasPrefix(p.in, []byte(text)) {
		return errJSON
	}
	p.in = p.in[len(text):]
	p.out = append(p.out, code)
	return nil
}

func (p *packer) str() error {
	end, escaped := 1, false
	for ; ; end++ {
		if end >= len(p.in) {
			return errJSON
		}
		if p.in[end] == '"' {
			break
		}
		if p.in[end] == '\\' {
			escaped = true
			end++
		}
	}
	text := p.in[:end+1]
	p.in = p.in[end+1:]
	if data, ok := BinaryIn(text); ok {
		p.out = appendBin(p.out, data)
		return nil
	}
	if !escaped {
		p.out = appendStr(p.out, text[1:end])
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	p.out = appendStr(p.out, s)
	return nil
}

func (p *packer) number() error {
	end, integer := 0, true
	for ; end < len(p.in); end++ {
		c := p.in[end]
		if c >= '0' && c <= '9' || c == '-' {
			continue
		}
		if c != '.' && c != 'e' && c != 'E' && c != '+' {
			break
		}
		integer = false
	}
	text := string(p.in[:end])
	p.in = p.in[end:]
	if integer {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			p.out = appendInt(p.out, n)
			return nil
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			p.out = appendBits(append(p.out, 0xcf), n, 8)
			return nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) { // out of range is Infinity, as to JSON.parse
		return errJSON
	}
	p.out = appendBits(append(p.out, 0xcb), math.Float64bits(f), 8)
	return nil
}

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= -32 && n < 128:
		return append(b, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		return appendBits(append(b, 0xcd), uint64(n), 2)
	case n >= 0 && n <= math.MaxUint32:
		return appendBits(append(b, 0xce), uint64(n), 4)
	case n >= 0:
		return appendBits(append(b, 0xcf), uint64(n), 8)
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return appendBits(append(b, 0xd1), uint64(n), 2)
	case n >= math.MinInt32:
		return appendBits(append(b, 0xd2), uint64(n), 4)
	}
	return appendBits(append(b, 0xd3), uint64(n), 8)
}

// appendBits appends the last bytes of n, big-endian.
func appendBits(b []byte, n uint64, bytes int) []byte {
	for i := bytes - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

func appendStr[S string | []byte](b []byte, s S) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		b = append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		b = appendBits(append(b, 0xda), uint64(n), 2)
	default:
		b = appendBits(append(b, 0xdb), uint64(n), 4)
	}
	return append(b, s...)
}

func appendBin(b, data []byte) []byte {
	switch n := len(data); {
	case n <= math.MaxUint8:
		b = append(b, 0xc4, byte(n))
	case n <= math.MaxUint16:
		b = appendBits(append(b, 0xc5), uint64(n), 2)
	default:
		b = appendBits(append(b, 0xc6), uint64(n), 4)
	}
	return append(b, data...)
}

// appendCount appends the head of an array or map: fix is its code for up to
// 15 items, wide for up to 16 bits of them, and the one behind for 32.
func appendCount(b []byte, fix, wide byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, fix|byte(n))
	case n <= math.MaxUint16:
		return appendBits(append(b, wide), uint64(n), 2)
	}
	return appendBits(append(b, wide+1), uint64(n), 4)
}
