package socketio_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// register sets handlers that know nothing of the Parser.
func register(io *socketio.Server) {
	type upload struct {
		Name string          `json:"name"`
		Data socketio.Binary `json:"data"`
	}
	io.Of("/closed").Use(func(context.Context, *socketio.Socket) error {
		return socketio.Errorf("forbidden", "no")
	})
	socketio.Reply(io.Of("/"), "upload", func(_ context.Context, s *socketio.Socket, u upload) (upload, error) {
		return upload{u.Name + "!", append(u.Data, 0)}, nil
	})
	io.Of("/").Handle("relay", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
		return s.Broadcast().Emit("relayed", e.Args[0], []byte{7})
	})
	io.Of("/").Handle("ask", func(ctx context.Context, s *socketio.Socket, e *socketio.Event) error {
		n, err := socketio.EmitWithAck[int](ctx, s, "question")
		if err != nil {
			return err
		}
		return s.Emit("answered", n, s.Handshake().Auth)
	})
}

func TestMessagePackServer(t *testing.T) {
	_, url := serve(t, socketio.Options{Parser: socketio.MessagePack()}, register)
	const root = "\xa3nsp\xa1/"
	join := func(data string) *socketiotest.Client {
		c := socketiotest.Dial(t, url)
		c.SendBinary([]byte("\x83\xa4type\x00" + root + "\xa4data" + data))
		answer := c.Read()
		if !strings.HasPrefix(answer, "b:\x83\xa4type\x00\xa4data\x81\xa3sid") || !strings.HasSuffix(answer, root) {
			t.Fatalf("got %q, want a CONNECT packet", answer)
		}
		return c
	}
	a := join("\xc0")
	b := join("\x81\xa5token\xc4\x02\x01\x02")

	a.SendBinary([]byte("\x82\xa4type\x00\xa3nsp\xa7/closed"))
	a.Want("b:\x83\xa4type\x04\xa4data\x82\xa7message\xa2no\xa4data\x81\xa4code\xa9forbidden\xa3nsp\xa7/closed")
	a.SendBinary([]byte("\x84\xa2id\xcd\x01\x00\xa4data\x92\xa6upload\x82\xa4data\xc4\x01\x05\xa4name\xa1x" + root + "\xa4type\x02"))
	a.Want("b:\x84\xa4type\x03\xa4data\x91\x82\xa4name\xa2x!\xa4data\xc4\x02\x05\x00" + root + "\xa2id\xcd\x01\x00")
	a.SendBinary([]byte("\x83\xa4type\x02\xa4data\x92\xa5relay\xd7\x00\x00\x00\x01\x8b\xcf\xe5\x68\xab" + root))
	b.Want("b:\x83\xa4type\x02\xa4data\x93\xa7relayed\xd7\x00\x00\x00\x01\x8b\xcf\xe5\x68\xab\xc4\x01\x07" + root)
	b.SendBinary([]byte("\x83\xa4type\x02\xa4data\x91\xa3ask" + root))
	b.Want("b:\x84\xa4type\x02\xa4data\x91\xa8question" + root + "\xa2id\x00")
	b.SendBinary([]byte("\x84\xa4type\x03\xa2id\x00\xa4data\x91\x2a" + root))
	b.Want("b:\x83\xa4type\x02\xa4data\x93\xa8answered\x2a\x81\xa5token\xc4\x02\x01\x02" + root)
	b.SendBinary([]byte("\x82\xa4type\x01" + root))

	b.Send(`40`) // of the default Parser
	b.WantClosed()
	a.SendBinary([]byte("\x83\xa4type\x02\xa4data\xdd\xff\xff\xff\xff" + root))
	a.WantClosed()
}

// hexParser is as an application might bring it: packets are text, arguments
// JSON in hexadecimal.
type hexParser struct{}

type hexPacket struct {
	Type socketio.PacketType
	NSP  string
	ID   *uint64
	Args []string
}

func (hexParser) Encode(p *socketio.Packet) ([]transport.Frame, error) {
	h := hexPacket{Type: p.Type, NSP: p.Namespace}
	if p.ID != socketio.NoID {
		h.ID = &p.ID
	}
	for _, r := range p.Args {
		if form, value := r.Form(); form == (hexForm{}) {
			h.Args = append(h.Args, "passed on: "+string(value))
			continue
		}
		text, err := r.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if data, ok := socketio.BinaryIn(text); ok {
			text = fmt.Appendf(nil, "%d bytes", len(data))
		}
		h.Args = append(h.Args, string(text))
	}
	text, err := json.Marshal(h)
	return []transport.Frame{{Data: append([]byte("4"), text...)}}, err
}

func (hexParser) NewDecoder() socketio.Decoder { return hexParser{} }

func (hexParser) Decode(_ bool, data []byte) (*socketio.Packet, error) {
	var h hexPacket
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, err
	}
	p := &socketio.Packet{Type: h.Type, Namespace: h.NSP, ID: socketio.NoID}
	if h.ID != nil {
		p.ID = *h.ID
	}
	for _, a := range h.Args {
		p.Args = append(p.Args, socketio.NewRaw(hexForm{}, []byte(a)))
	}
	return p, nil
}

type hexForm struct{}

func (hexForm) AppendJSON(b, value []byte) ([]byte, error) { return hex.AppendDecode(b, value) }

func TestParserOfAnApplication(t *testing.T) {
	_, url := serve(t, socketio.Options{Parser: hexParser{}}, register)
	a, b := socketiotest.Dial(t, url), socketiotest.Dial(t, url)
	for _, c := range []*socketiotest.Client{a, b} {
		c.Send(`4{"Type":0,"NSP":"/"}`)
		c.Read()
	}
	arg := func(text string) string { return hex.EncodeToString([]byte(text)) }
	a.Send(`4{"Type":2,"NSP":"/","ID":3,"Args":["` + arg(`"upload"`) + `","` + arg(`{"name":"x","data":"AQI="}`) + `"]}`)
	if got := a.Read(); !strings.HasPrefix(got, `4{"Type":3,"NSP":"/","ID":3,"Args":["{\"name\":\"x!\"`) {
		t.Errorf("got %s", got)
	}
	a.Send(`4{"Type":2,"NSP":"/","Args":["` + arg(`"relay"`) + `","` + arg(`[1]`) + `"]}`)
	b.Want(`4{"Type":2,"NSP":"/","ID":null,"Args":["\"relayed\"","passed on: ` + arg(`[1]`) + `","1 bytes"]}`)
	// A Form that fails is an error to the handler, an event without one ends
	// the connection.
	a.Send(`4{"Type":2,"NSP":"/","ID":4,"Args":["` + arg(`"upload"`) + `","x"]}`)
	if got := a.Read(); !strings.HasPrefix(got, `4{"Type":3,"NSP":"/","ID":4,"Args":["{\"ok\":false`) {
		t.Errorf("got %s", got)
	}
	a.Send(`4{"Type":2,"NSP":"/","Args":["zz"]}`)
	a.WantClosed()
	b.Send(`4{"Type":2,"NSP":"/","Args":[""]}`)
	b.WantClosed()
}
