package socketio_test

import (
	"fmt"
	"strings"
	"time"
)

func addUpgrades(add func(string, func(*rawPeer))) {
	start := func(p *rawPeer) (query string) {
		q := p.open()
		p.do("POST", q, "40")
		p.do("GET", q, "")
		return q
	}
	add("upgrade", func(p *rawPeer) {
		q := start(p)
		poll := p.ask("GET", q, "")
		time.Sleep(50 * time.Millisecond)
		w := p.ws(wsQuery(q)).text("2probe").want(1)
		poll()
		w.text("5", `42["echo",1]`).want(1)
		p.do("GET", q, "")
		p.do("POST", q, `42["echo",2]`)
		p.ws(wsQuery(q)).text("2probe").end()
		w.probe()
	})
	add("upgrade with packets queued", func(p *rawPeer) {
		q := start(p)
		p.do("POST", q, "42[\"echo\",1]\x1e42[\"echo\",2]")
		w := p.ws(wsQuery(q)).text("2probe").want(1)
		w.text("5", `42["echo",3]`).want(3)
		w.probe()
	})
	add("upgrade, polling on", func(p *rawPeer) {
		q := start(p)
		w := p.ws(wsQuery(q)).text("2probe").want(1)
		p.do("GET", q, "") // released
		p.do("POST", q, `42["echo",1]`)
		p.do("GET", q, "")
		w.text("5")
		w.probe()
	})
	add("upgrade without probe", func(p *rawPeer) {
		q := start(p)
		w := p.ws(wsQuery(q)).text("5")
		w.probe()
	})
	add("two candidates", func(p *rawPeer) {
		q := start(p)
		first := p.ws(wsQuery(q)).text("2probe").want(1)
		p.ws(wsQuery(q)).text("2probe").end()
		first.text("5").probe()
	})
	for _, packet := range []string{"4hello", "2", "2other", "3probe", "1", "0", "6", "abc", ""} {
		add(fmt.Sprintf("candidate says %q", packet), func(p *rawPeer) {
			q := start(p)
			p.ws(wsQuery(q)).text(packet).end()
			p.do("POST", q, `42["echo",1]`)
			p.do("GET", q, "")
			p.ws(wsQuery(q)).text("2probe").want(1).text("5").probe()
		})
	}
	add("candidate sends binary", func(p *rawPeer) {
		q := start(p)
		p.ws(wsQuery(q)).frame(opBinary, []byte("2probe")).end()
	})
	add("candidate says 4 behind its probe", func(p *rawPeer) {
		q := start(p)
		p.ws(wsQuery(q)).text("2probe", "4hello").end()
		p.do("POST", q, `42["echo",1]`)
		p.do("GET", q, "")
	})
	add("upgrade with another version", func(p *rawPeer) {
		q := start(p)
		if w := p.ws(strings.Replace(wsQuery(q), "EIO=4", "EIO=3", 1)); w != nil {
			w.end()
		}
		p.do("POST", q, "42[\"echo\"]")
	})
	add("upgrade with transport polling", func(p *rawPeer) {
		q := start(p)
		if w := p.ws(q); w != nil {
			w.end()
		}
		p.do("POST", q, "42[\"echo\"]")
	})
	add("quick candidate too slow", func(p *rawPeer) {
		q := p.open()
		p.ws(wsQuery(q)).text("2probe").end()
		p.do("POST", q, "40")
	})
	add("WebSocket session by polling", func(p *rawPeer) {
		w := p.ws("EIO=4&transport=websocket")
		id := rawID.FindStringSubmatch(w.read())[1]
		p.do("GET", "EIO=4&transport=polling&sid="+id, "")
		p.do("POST", "EIO=4&transport=polling&sid="+id, "40")
		if second := p.ws("EIO=4&transport=websocket&sid=" + id); second != nil {
			second.text("2probe").end()
		}
		w.text("40").want(1).probe()
	})
}

// addFrames adds what WebSockets are sent below Engine.IO.
func addFrames(add func(string, func(*rawPeer))) {
	open := func(p *rawPeer) *rawWS {
		w := p.ws("EIO=4&transport=websocket")
		w.want(1).text("40").want(1)
		return w
	}
	add("frame ping", func(p *rawPeer) { open(p).frame(opPing, []byte("hi")).want(1).probe() })
	add("frame close", func(p *rawPeer) { open(p).frame(opClose, []byte("\x03\xe8bye")).end() })
	add("frame close 1001", func(p *rawPeer) { open(p).frame(opClose, []byte("\x03\xe9")).end() })
	add("frame close without code", func(p *rawPeer) { open(p).frame(opClose, nil).end() })
	add("frame close with a bad code", func(p *rawPeer) { open(p).frame(opClose, []byte("\x03\xed")).end() })
	add("frame pong", func(p *rawPeer) { open(p).frame(0x8a, nil).probe() })
	add("frame not UTF-8", func(p *rawPeer) { open(p).frame(opText, []byte("42[\"echo\",\"\xff\"]")).end() })
	add("frame reserved bit", func(p *rawPeer) { open(p).frame(opText|0x40, []byte("42[\"echo\"]")).end() })
	add("frame reserved opcode", func(p *rawPeer) { open(p).frame(0x83, nil).end() })
	add("frame continuation of nothing", func(p *rawPeer) { open(p).frame(0x80, nil).end() })
	add("frame long ping", func(p *rawPeer) { open(p).frame(opPing, make([]byte, 126)).end() })
	add("frames of one message", func(p *rawPeer) {
		open(p).frame(0x01, []byte(`42["ec`)).frame(opPing, nil).frame(0x80, []byte(`ho",1]`)).want(2).probe()
	})
	add("frame not masked", func(p *rawPeer) {
		w := open(p)
		w.conn.Write([]byte("\x81\x0242"))
		w.end()
	})
	add("quick frame too large", func(p *rawPeer) { open(p).frame(opText, []byte(strings.Repeat("4", 1001))).end() })
	add("quick frame just small enough", func(p *rawPeer) {
		open(p).text(`42["echo","` + strings.Repeat("x", 1000-13) + `"]`).want(1).probe()
	})
	add("quick heartbeat by WebSocket", func(p *rawPeer) { open(p).want(1).text("3").end() })
	add("quick no CONNECT by WebSocket", func(p *rawPeer) {
		w := p.ws("EIO=4&transport=websocket")
		for w.read() == "2" || len(p.log) < 4 {
			w.text("3")
		}
	})
}

// addPackets adds packets of Socket.IO, and of Engine.IO that mean nothing
// there, to a client that is in "/".
func addPackets(add func(string, func(*rawPeer))) {
	packet := func(packets ...string) {
		add("packet "+fmt.Sprintf("%.80q", strings.Join(packets, " | ")), func(p *rawPeer) {
			w := p.ws("EIO=4&transport=websocket").want(1)
			w.text("40").want(1)
			for _, text := range packets {
				if data, ok := strings.CutPrefix(text, "bytes:"); ok {
					time.Sleep(p.pause)
					p.note("send binary %s", data)
					w.frame(opBinary, []byte(data))
					continue
				}
				w.text(text)
			}
			w.probe()
		})
	}
	for _, text := range []string{
		"", "0", "1", "2", "2probe", "3", "5", "6", "7", "8", "9", "a", "b", "bAQID", "\x1e", " ", "4", "47", "48", "4a", "4 2[\"echo\"]", "4-1",
		// CONNECT, DISCONNECT
		"40", "40{}", "40/nowhere,", "40/nowhere,{}", "40/nowhere", "40/chat,", "40/chat", "40/chat,{}", "40/chat?a=b,{}", "40[]", "40\"x\"", "40null", "401", "40{", "40/chat,[]", "40/chat,null", "401{}", "40/,{}", "40/CHAT,",
		"41", "41{}", "41[]", "41null", "41x", "41/chat,", "41/nowhere,", "415",
		// EVENT
		"42", "42[]", "42{}", "42\"x\"", "42null", "42[null]", "42[true]", "42[{}]", "42[[]]", "42[7]", "42[7,\"x\"]", "42[1.5]", "42[-0]", "427[7]", "42[\"7\",1]", "42[1e400]", "42[\"no such event\"]", "421[\"no such event\"]",
		`42["connect"]`, `42["connect_error"]`, `42["disconnect"]`, `42["disconnecting"]`, `42["newListener"]`, `42["removeListener"]`, `42["error"]`, `42["connection"]`, `42["\u0063onnect"]`,
		`42["echo",]`, `42["echo"]x`, `42 ["echo"]`, "42\n[\"echo\"]", `42["echo"] `, `42["echo"`, `42["echo",{"a":1,"a":2}]`, `42["echo",1e400]`, `42["echo",-0]`, `42["echo",1.0]`, `42["echo",12345678901234567890]`, `42["echo","\ud800"]`, `42["echo","\u00e9"]`, `42["echo",01]`, `42["echo",NaN]`, `42["echo",{a:1}]`, `42["echo", 1 , [ 2 ] ]`, `42["echo",{"__proto__":1}]`, `42["echo","/"]`, `42["echo","\/"]`, "42[\"echo\",\"\u2028\"]", "42[\"echo\",\"\t\"]", `42["echo","<>&"]`,
		`421["settle"]`, `4201["settle"]`, `4200["settle"]`, `42-1["settle"]`, `429007199254740991["settle"]`, `429007199254740992["settle"]`, `4212345678901234567890["settle"]`, `421e3["settle"]`, `42/,1["settle"]`, `42/chat["settle"]`, `42/chat,["settle"]`, `42/nowhere,["settle"]`, `42chat,["settle"]`, `42,["settle"]`,
		`42["echo",` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "]",
		// ACK, CONNECT_ERROR
		"43", "43[]", "431[]", "431[1]", "431{}", "431null", "4399999[]", "43/chat,1[]", "43/nowhere,1[]", "44", `44"x"`, `44{"message":"x"}`, "44[]", "44/nowhere,",
		// BINARY_EVENT, BINARY_ACK
		"45", "45-", `45["echo"]`, `450-["echo"]`, `45-1["echo"]`, `45x-["echo"]`, `451["echo"]`, `4511-["echo"]`, `451-{}`, `451-["connect"]`, `451-["echo",{"_placeholder":true,"num":0}]`, `4601-1[]`, "461-1[]", "46", "460-1[]", "451-", "4501-[\"echo\",{\"_placeholder\":true,\"num\":0}]", "451.0-[\"echo\"]", "45+1-[\"echo\"]", "451e0-[\"echo\"]",
		"bytes:\x01\x02", "bytes:",
		`42["echo",{"_placeholder":true,"num":0}]`,
		`42["do",[["bye",false]]]`, `42["do",[["bye",true]]]`, `42["do",[["emit","a"],["bye",true],["emit","b"]]]`, `42["do",[["bye",false],["emit","b"]]]`, `425["do",[["bye",false]]]`, `42["do",[["emit","connect"]]]`, `42["do",[["types"]]]`,
	} {
		packet(text)
	}
	packet(`40/chat,{}`, `40/chat,{}`)
	packet(`40/guarded,{"token":"bare"}`, `42/guarded,["settle"]`)
	packet(`40/guarded,{"token":"data"}`, `40/guarded,{"token":"list"}`)
	packet("41", "40{}")
	packet("41", "41")
	packet("41", `42["echo"]`)
	packet("41", "431[]")
	const one = `451-["echo",{"_placeholder":true,"num":0}]`
	packet(one, "bytes:abc")
	packet(one, "bytes:")
	packet(one, `42["echo"]`)
	packet(one, "40/chat,{}")
	packet(one, "3", "bytes:abc")
	packet(one, "bytes:abc", "bytes:def")
	packet(`451-3["echo",{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`452-["echo",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`, "bytes:abc", "bytes:def")
	packet(`451-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`452-["echo",{"_placeholder":true,"num":0}]`, "bytes:abc", "bytes:def")
	packet(`451-["echo"]`, "bytes:abc")
	for _, num := range []string{"1", "-1", `"0"`, "0.5", "null", "1e0", "true"} {
		packet(`451-["echo",{"_placeholder":true,"num":`+num+`}]`, "bytes:abc")
	}
	packet(`451-["echo",{"_placeholder":true}]`, "bytes:abc")
	packet(`451-["echo",{"_placeholder":1,"num":0}]`, "bytes:abc")
	packet(`451-["echo",{"_placeholder":false,"num":0}]`, "bytes:abc")
	packet(`451-["echo",{"_placeholder":true,"num":0,"x":1}]`, "bytes:abc")
	packet(`451-["echo",{ "num" : 0, "_placeholder" : true }]`, "bytes:abc")
	packet(`451-[{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`451-["echo","{\"_placeholder\":true,\"num\":0}",{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`451-["connect",{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`451-[null,{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`451-{"a":{"_placeholder":true,"num":0}}`, "bytes:abc")
	packet(`451-/chat,["echo",{"_placeholder":true,"num":0}]`, "bytes:abc")
	packet(`461-1[{"_placeholder":true,"num":0}]`, "bytes:abc")
	ten := append([]string{`4510-["echo",{"_placeholder":true,"num":9}]`}, strings.Fields(strings.Repeat("bytes:x ", 10))...)
	packet(ten...)
	packet(`4511-["echo",{"_placeholder":true,"num":9}]`)
	add("EVENT before CONNECT", func(p *rawPeer) {
		p.ws("EIO=4&transport=websocket").want(1).text(`42["echo"]`).end()
	})
	add("ACK before CONNECT", func(p *rawPeer) {
		p.ws("EIO=4&transport=websocket").want(1).text(`430[]`).end()
	})
	add("DISCONNECT before CONNECT", func(p *rawPeer) { p.ws("EIO=4&transport=websocket").want(1).text(`41`).end() })
	add("EVENT behind a refusal", func(p *rawPeer) {
		p.ws("EIO=4&transport=websocket").want(1).text(`40/guarded,{"token":"bare"}`).want(1).text(`42/guarded,["echo"]`).end()
	})
	add("EVENT behind our DISCONNECT", func(p *rawPeer) {
		w := p.ws("EIO=4&transport=websocket").want(1).text("40/chat,").want(1).text("40").want(1)
		w.text(`42/chat,["do",[["bye",false]]]`).want(1).text(`42/chat,["echo"]`).probe()
	})
	add("CONNECT again behind our DISCONNECT", func(p *rawPeer) {
		w := p.ws("EIO=4&transport=websocket").want(1).text("40/chat,").want(1).text("40").want(1)
		w.text(`42/chat,["do",[["bye",false]]]`).want(1).text(`40/chat,`).want(1).probe()
	})
}
