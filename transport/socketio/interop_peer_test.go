package socketio_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A rawPeer says bytes to a server and writes down what it hears, so that
// the transcripts of two servers can be compared.
type rawPeer struct {
	t     testing.TB
	addr  string
	log   []string
	conns []net.Conn
	pause time.Duration     // before each packet: what Node's server makes of two that come at once depends on its event loop
	ids   map[string]string // what stands for each random id
}

var rawID = regexp.MustCompile(`"sid":"([^"]+)"`)

// note adds a line, with ids replaced.
func (p *rawPeer) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	for _, m := range rawID.FindAllStringSubmatch(line, -1) {
		if p.ids[m[1]] == "" {
			p.ids[m[1]] = fmt.Sprintf("id%d", len(p.ids)+1)
		}
	}
	for id, name := range p.ids {
		line = strings.ReplaceAll(line, id, name)
	}
	if len(line) > 600 {
		line = fmt.Sprintf("%s… (%d bytes)", line[:600], len(line))
	}
	p.log = append(p.log, line)
}

// hangUp closes what the exchange has left open.
func (p *rawPeer) hangUp() {
	for _, conn := range p.conns {
		conn.Close()
	}
}

func (p *rawPeer) dial() net.Conn {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Error(err)
		runtime.Goexit()
	}
	p.conns = append(p.conns, conn)
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	return conn
}

// ask sends a request and returns a function that notes its answer and
// returns the body.
func (p *rawPeer) ask(method, query, body string, headers ...string) func() string {
	conn := p.dial()
	fmt.Fprintf(conn, "%s /socket.io/?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", method, query)
	for _, h := range headers {
		fmt.Fprintf(conn, "%s\r\n", h)
	}
	if body != "" || method == "POST" {
		fmt.Fprintf(conn, "Content-Length: %d\r\n", len(body))
	}
	fmt.Fprintf(conn, "\r\n%s", body)
	return func() string {
		defer conn.Close()
		return p.answer(method, bufio.NewReader(conn))
	}
}

func (p *rawPeer) answer(method string, r *bufio.Reader) string {
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		p.note("  no answer")
		return ""
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.note("  cut answer")
	}
	if res.Header.Get("Content-Encoding") == "gzip" {
		if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, _ = io.ReadAll(z)
		}
	}
	for _, name := range []string{"Date", "Content-Length", "Transfer-Encoding"} { // ReadResponse checks the framing
		res.Header.Del(name)
	}
	if res.StatusCode >= 400 {
		res.Header.Del("Cache-Control")
	}
	p.note("  %d %s", res.StatusCode, headerText(res.Header))
	p.note("  %s", body)
	return string(body)
}

func headerText(h http.Header) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lines = append(lines, strings.ToLower(name)+": "+strings.Join(h[name], ", "))
	}
	return strings.Join(lines, "; ")
}

// do is ask, noted, and the wait for the answer.
func (p *rawPeer) do(method, query, body string, headers ...string) string {
	p.note("%s ?%s %.100q", method, query, body)
	return p.ask(method, query, body, headers...)()
}

// open opens a session by polling and returns the query of its requests.
func (p *rawPeer) open() string {
	body := p.do("GET", "EIO=4&transport=polling", "")
	m := rawID.FindStringSubmatch(body)
	if m == nil {
		p.t.Errorf("no session: %q", body)
		runtime.Goexit()
	}
	return "EIO=4&transport=polling&sid=" + m[1]
}

// drain polls until the probe's answer or the end of the session, and notes
// the packets: on how many polls they are spread is left open.
func (p *rawPeer) drain(query string) {
	var packets []string
	start := len(p.log)
	for {
		n := len(p.log)
		body := p.ask("GET", query, "")()
		if len(p.log) < n+2 || !strings.HasPrefix(p.log[n], "  200") {
			break
		}
		p.log = p.log[:start]
		packets = append(packets, strings.Split(body, "\x1e")...)
		if slices.Contains(packets, "4399[]") {
			break
		}
	}
	p.note("  polled %q", packets)
}

func wsQuery(query string) string { return strings.Replace(query, "=polling", "=websocket", 1) }

// rawWS is a WebSocket, frame by frame (RFC 6455).
type rawWS struct {
	p    *rawPeer
	conn net.Conn
	r    *bufio.Reader
}

// ws asks for a WebSocket and returns nil if there is none. Headers replace
// those of a proper request.
func (p *rawPeer) ws(query string, headers ...string) *rawWS {
	p.note("WS ?%s %s", query, strings.Join(headers, "; "))
	conn := p.dial()
	fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: x\r\n", query)
	for _, h := range []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="} {
		name, _, _ := strings.Cut(h, ":")
		if !slices.ContainsFunc(headers, func(own string) bool { return strings.HasPrefix(own, name+":") }) {
			headers = append(headers, h)
		}
	}
	fmt.Fprintf(conn, "%s\r\n\r\n", strings.Join(headers, "\r\n"))
	r := bufio.NewReader(conn)
	if head, _ := r.Peek(12); !bytes.HasSuffix(head, []byte(" 101")) {
		p.answer("GET", r)
		return nil
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		p.note("  no answer")
		return nil
	}
	res.Header.Del("Date")
	p.note("  101 %s", headerText(res.Header))
	return &rawWS{p: p, conn: conn, r: r}
}

const (
	opText   = 0x81 // with the bit of a final frame
	opBinary = 0x82
	opClose  = 0x88
	opPing   = 0x89
)

func (w *rawWS) text(packets ...string) *rawWS {
	for _, text := range packets {
		time.Sleep(w.p.pause)
		w.p.note("send %s", text)
		w.frame(opText, []byte(text))
	}
	return w
}

func (w *rawWS) frame(op byte, data []byte) *rawWS {
	w.conn.Write(maskedFrame(op, data)) // what is closed shows when reading
	return w
}

// maskedFrame is a client's frame, masked by zeros.
func maskedFrame(op byte, data []byte) []byte {
	head := []byte{op, 0x80}
	switch {
	case len(data) < 126:
		head[1] |= byte(len(data))
	case len(data) < 1<<16:
		head[1] |= 126
		head = binary.BigEndian.AppendUint16(head, uint16(len(data)))
	default:
		head[1] |= 127
		head = binary.BigEndian.AppendUint64(head, uint64(len(data)))
	}
	return slices.Concat(head, make([]byte, 4), data)
}

// read notes and returns the next frame; "" is the end of the connection.
func (w *rawWS) read() string {
	var head [2]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() {
			w.p.note("  nothing more")
			return ""
		}
		w.p.note("  end")
		return ""
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		io.ReadFull(w.r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		io.ReadFull(w.r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	data := make([]byte, min(n, 1<<20))
	io.ReadFull(w.r, data)
	line := fmt.Sprintf("%#x %q", head[0], data)
	switch {
	case head[0] == opText:
		line = string(data)
	case head[0] == opBinary:
		line = fmt.Sprintf("binary %x", data)
	case head[0] == opClose && n == 2 && data[0] == 3 && (data[1] == 0xe8 || data[1] == 0xf0):
		line = "close" // Node's gives no code, ours 1000 or 1008
	case head[0] == opClose && n >= 2:
		line = fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(data), data[2:])
	case head[0] == opClose:
		line = "close"
	}
	w.p.note("  %s", line)
	return line
}

// until reads up to and with a frame, or to the end.
func (w *rawWS) until(last string) *rawWS {
	for {
		switch line := w.read(); {
		case line == "" || line == last || strings.HasPrefix(line, "close"):
			return w // how soon the connection ends behind a close frame is left open
		}
	}
}

// want reads n frames.
func (w *rawWS) want(n int) *rawWS {
	for range n {
		w.read()
	}
	return w
}

// probe asks for a last answer, and so shows whether the connection lives.
func (w *rawWS) probe() {
	time.Sleep(w.p.pause)
	w.p.note("probe")
	w.frame(opText, []byte(`4299["settle"]`)).until("4399[]")
}

// end reads to the end, which the peer has brought about.
func (w *rawWS) end() { w.until("\x00") }
