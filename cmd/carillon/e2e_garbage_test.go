package main_test

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	wsRequest = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	pollRequest = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"
)

// frame is a client's WebSocket frame (RFC 6455, section 5.2): masked, with a
// mask of zeros, and with first as its first byte.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

func text(payload string) string { return frame(0x81, payload) }

func post(sid, body string) string {
	return fmt.Sprintf("POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
		sid, len(body), body)
}

// garbage is what a connection may send; "%sid" stands for a polling session
// that is opened first.
func garbage() []string {
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	joined := wsRequest + text("40")
	return []string{
		// not HTTP, or not much of it
		string(noise),
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 2<<20),
		"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		strings.Replace(wsRequest, "Sec-WebSocket-Key", "Sec-Whatever", 1),
		wsRequest[:60],

		// WebSocket frames that are none
		wsRequest + string(noise),
		wsRequest + "\x81\x05hello",                            // not masked
		wsRequest + frame(0x83, "reserved"),                    // a reserved opcode
		wsRequest + frame(0xf1, "reserved"),                    // reserved bits
		wsRequest + frame(0x80, "continues nothing"),           // a continuation
		wsRequest + frame(0x01, "40") + frame(0x01, "40"),      // a text within a text
		wsRequest + "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", // a frame of 9 exabytes
		wsRequest + "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", // and a negative one
		wsRequest + text("4\xff\xfe\xfd"),                      // not UTF-8
		wsRequest + frame(0x89, strings.Repeat("p", 200)),      // a ping that is too long
		wsRequest + frame(0x88, "\x00"),                        // a close without a code
		wsRequest + frame(0x88, "\x00\x01"),                    // and with a wrong one
		wsRequest + text("4"+strings.Repeat("x", 2<<20)),       // too large

		// Engine.IO packets that are none
		wsRequest + text(""),
		wsRequest + text("9"),
		wsRequest + text("2probe") + text("5"),
		wsRequest + frame(0x82, "binary without a reason"),

		// Socket.IO packets that are none
		wsRequest + text(`42["before","connecting"]`),
		wsRequest + text("40{"),
		wsRequest + text("40"+strings.Repeat(`{"a":`, 50_000)),
		joined + text("40") + text("40"),
		joined + text("49"),
		joined + text("42"),
		joined + text("42[]"),
		joined + text(`42{"not":"an array"}`),
		joined + text(`42[42]`),
		joined + text("42"+strings.Repeat("[", 100_000)),
		joined + text(`42["connect"]`) + text(`42["disconnect","x"]`),
		joined + text(`4299999999999999999999["message"]`),
		joined + text(`43[1]`) + text(`431[`),
		joined + text(`44"an error from a client"`),
		joined + text(`451-["message",{"_placeholder":true,"num":7}]`) + frame(0x82, "x"),
		joined + text(`451-["message",{"_placeholder":true,"num":-1}]`) + frame(0x82, "x"),
		joined + text(`4599999999-["message"]`),
		joined + text(`452-["message",{"_placeholder":true,"num":0}]`) + text(`42["between"]`),
		joined + text(`42/nowhere,["message",{}]`),
		joined + text(`421["room:join",{"__proto__":1}]`) + text(`422["message",null]`) + text(`423["presence:list",1,2,3]`),

		// polling
		post("unknown", "40"),
		post("%sid", "40\x1e\x1e\x1e"),
		post("%sid", "b!!!not base64!!!"),
		post("%sid", string(noise)),
		post("%sid", strings.Repeat("2\x1e", 100_000)),
		post("%sid", strings.Repeat("x", 2<<20)),
		strings.Replace(pollRequest, "EIO=4", "EIO=3", 1),
		strings.Replace(pollRequest, "transport=polling", "transport=pigeon", 1),
		strings.Repeat(strings.Replace(pollRequest, "polling", "polling&sid=%sid", 1), 3), // one poll upon the other
	}
}

// sendGarbage has n connections send garbage, some of them at a time, and
// returns when all of them are over.
func sendGarbage(t *testing.T, addr string, n int) {
	kinds := garbage()
	var wg sync.WaitGroup
	places := make(chan struct{}, 10)
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			send := kinds[i%len(kinds)]
			if strings.Contains(send, "%sid") {
				send = strings.ReplaceAll(send, "%sid", pollingSession(t, addr))
			}
			conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
			if err != nil {
				t.Errorf("the server does not accept connections any more: %v", err)
				return
			}
			defer conn.Close()
			// Whether it is read, answered or cut is the server's business.
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			go func() { _, _ = io.WriteString(conn, send) }() // ends at the deadline
			_, _ = io.Copy(io.Discard, conn)
		})
	}
	wg.Wait()
}

// pollingSession opens a session and returns its sid.
func pollingSession(t *testing.T, addr string) string {
	resp, err := http.Get("http://" + addr + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Errorf("the server does not open sessions any more: %v", err)
		return ""
	}
	defer resp.Body.Close()
	body, _ := bufio.NewReader(resp.Body).ReadString('}')
	_, rest, _ := strings.Cut(body, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	return sid
}
