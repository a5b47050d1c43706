package transporttest

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// A Poller is the Client of a Conn over HTTP long-polling, in Engine.IO protocol
// v4: it polls when it is asked to receive and its last poll's frames are used up.
type Poller struct {
	Get  func() (payload string, err error)
	Post func(payload string) error // nil once it was answered "ok"

	got []string // packets of the last poll
}

var _ Client = (*Poller)(nil)

// Send implements Client.
func (p *Poller) Send(binary bool, data []byte) error {
	if binary {
		return p.Post("b" + base64.StdEncoding.EncodeToString(data))
	}
	return p.Post(string(data))
}

// Close implements Client.
func (p *Poller) Close() error { return p.Post("1") }

// Receive implements Client.
func (p *Poller) Receive() (binary bool, data []byte, err error) {
	for len(p.got) == 0 {
		payload, err := p.Get()
		switch {
		case err != nil:
			return false, nil, err
		case payload == "1":
			return false, nil, io.EOF
		case payload != "6":
			p.got = strings.Split(payload, "\x1e")
		}
	}
	next := p.got[0]
	p.got = p.got[1:]
	if rest, ok := strings.CutPrefix(next, "b"); ok {
		data, err := base64.StdEncoding.DecodeString(rest)
		return true, data, err
	}
	if next == "1" {
		return false, nil, errors.New("a close packet among messages")
	}
	return false, []byte(next), nil
}
