package engineio_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/engineio"
)

// The rows of the protocol that concern WebSockets.
func TestWebSocket(t *testing.T) {
	r := newRig(t, engineio.Options{MaxPayload: 1000}, false)

	t.Run("text and binary messages, both ways", func(t *testing.T) {
		c, p := r.session()
		c.write("4hello€")
		c.want("4hello€")
		if err := c.Write(t.Context(), websocket.MessageBinary, []byte{4, 0, 1}); err != nil {
			t.Fatal(err)
		}
		kind, data, err := c.Read(t.Context())
		if kind != websocket.MessageBinary || !bytes.Equal(data, []byte{4, 0, 1}) || err != nil {
			t.Errorf("received %v %v (%v)", kind, data, err)
		}
		if p.Transport() != engineio.WebSocket {
			t.Errorf("Transport() = %q", p.Transport())
		}
	})
	t.Run("packets of no meaning are ignored", func(t *testing.T) {
		c, _ := r.session()
		for _, packet := range []string{"0", "3", "5", "6", "3probe", "4x"} {
			c.write(packet)
		}
		c.want("4x")
	})
	for _, test := range []struct {
		name, packet string
		status       websocket.StatusCode
		reason       engineio.Reason
	}{
		{"bad packet", "abc", websocket.StatusPolicyViolation, engineio.ReasonParseError},
		{"empty packet", "", websocket.StatusPolicyViolation, engineio.ReasonParseError},
		{"a second probe is a ping, which is the server's", "2probe", websocket.StatusPolicyViolation, engineio.ReasonTransportError},
		{"ping", "2", websocket.StatusPolicyViolation, engineio.ReasonTransportError},
		{"close", "1", websocket.StatusNormalClosure, engineio.ReasonTransportClose},
		{"above maxPayload", strings.Repeat("4", 1001), websocket.StatusMessageTooBig, engineio.ReasonTransportError},
	} {
		t.Run("ends the session: "+test.name, func(t *testing.T) {
			c, p := r.session()
			c.write(test.packet)
			c.wantClose(test.status)
			p.want(t, test.reason)
		})
	}
	t.Run("close frame", func(t *testing.T) {
		c, p := r.session()
		_ = c.Close(websocket.StatusGoingAway, "") // minds the status of the answer
		p.want(t, engineio.ReasonTransportClose)
	})
	t.Run("connection cut", func(t *testing.T) {
		c, p := r.session()
		if err := c.CloseNow(); err != nil {
			t.Error(err)
		}
		p.want(t, engineio.ReasonTransportClose)
	})
}
