package socketio_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// TestSameBytesAsNode has raw exchanges with Node's server and with ours, and
// compares what comes back byte by byte, but for ids and dates. What is
// different on purpose stands with its reason in
// testdata/interop/differences.txt.
func TestSameBytesAsNode(t *testing.T) {
	interopNeeds(t, "node", "node_modules")
	usual := [2]string{interopNode(t, `{}`), interopOurs(t, socketio.Options{}, 1)}
	quick := [2]string{
		interopNode(t, `{"pingInterval":300,"pingTimeout":200,"upgradeTimeout":300,"connectTimeout":1200,"maxHttpBufferSize":1000}`),
		interopOurs(t, socketio.Options{
			Engine:         engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond, UpgradeTimeout: 300 * time.Millisecond, MaxPayload: 1000},
			ConnectTimeout: 1200 * time.Millisecond,
		}, 1),
	}
	differences := readDifferences(t)
	exchanges := rawExchanges()
	transcripts := func(name string, pause time.Duration) (logs [2][]string) {
		urls := usual
		if strings.HasPrefix(name, "quick ") {
			urls = quick
		}
		for i, url := range urls {
			p := &rawPeer{t: t, addr: strings.TrimPrefix(url, "http://"), ids: make(map[string]string), pause: pause}
			exchanges[name](p)
			p.hangUp()
			logs[i] = p.log
		}
		return logs
	}
	found := make(map[string]*string)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16) // the exchanges wait more than they work
	for name := range exchanges {
		mine := new(string)
		found[name] = mine
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			logs := transcripts(name, 30*time.Millisecond)
			*mine = differences.check(name, logs[0], logs[1])
		})
	}
	wg.Wait()
	for _, name := range slices.Sorted(maps.Keys(found)) {
		t.Run(name, func(t *testing.T) {
			problem := *found[name]
			for retry := 0; problem != "" && retry < 2; retry++ { // alone, on a busy machine
				logs := transcripts(name, 200*time.Millisecond)
				problem = differences.check(name, logs[0], logs[1])
			}
			if problem != "" {
				t.Error(problem)
			}
		})
	}
	for name := range differences.known {
		if exchanges[name] == nil {
			t.Errorf("no exchange %s", name)
		}
	}
}

// rawExchanges are the cases by name. Those that begin with "quick " are for
// servers of short times and small payloads.
func rawExchanges() map[string]func(p *rawPeer) {
	all := make(map[string]func(p *rawPeer))
	add := func(name string, f func(p *rawPeer)) { all[name] = f }

	for _, query := range []string{
		"", "EIO=4", "EIO=4&transport=", "EIO=4&transport=foo", "EIO=4&transport=webtransport", "EIO=4&transport=constructor",
		"transport=polling", "EIO=3&transport=polling", "EIO=5&transport=polling", "EIO=x&transport=polling",
		"EIO=4&transport=polling&sid=nobody", "EIO=4&transport=polling&sid=constructor", "EIO=4&transport=polling&sid=", "EIO=4&transport=websocket", "EIO=4&transport=websocket&sid=nobody",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS"} {
			add(method+" ?"+query, func(p *rawPeer) { p.do(method, query, "") })
		}
		add("WS ?"+query, func(p *rawPeer) { p.ws(query) })
	}
	add("handshake with an origin", func(p *rawPeer) { p.do("GET", "EIO=4&transport=polling", "", "Origin: http://elsewhere") })
	add("handshake of an old browser", func(p *rawPeer) {
		p.do("GET", "EIO=4&transport=polling", "", "User-Agent: Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko")
	})
	add("HEAD", func(p *rawPeer) { p.do("HEAD", "EIO=4&transport=polling", "") })
	for name, headers := range map[string][]string{
		"extension": {"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}, "subprotocols": {"Sec-WebSocket-Protocol: chat, superchat"},
		"old version": {"Sec-WebSocket-Version: 8"}, "short key": {"Sec-WebSocket-Key: abc"}, "upgrade to h2c": {"Upgrade: h2c"}, "origin": {"Origin: http://elsewhere"},
	} {
		add("WS with "+name, func(p *rawPeer) {
			if w := p.ws("EIO=4&transport=websocket", headers...); w != nil {
				w.want(1).text("40").want(1).probe()
			}
		})
	}
	addPolling(add)
	addUpgrades(add)
	addFrames(add)
	addPackets(add)
	return all
}

func addPolling(add func(string, func(*rawPeer))) {
	const forms = "Content-Type: text/plain;charset=UTF-8"
	for _, body := range []string{
		"", "abc", "\x1e", "4", "2", "2probe", "3", "0", "5", "6", "7", "9", "b", "bAQID", "b!!!!", "1", "1\x1e42[\"echo\"]", "4\xff",
		"42[\"echo\",1]", "42[\"echo\",1]\x1e42[\"echo\",2]\x1e421[\"settle\"]", "42[\"echo\",1]\x1e", "42[\"echo\",1]\x1eabc\x1e42[\"echo\",2]",
		"451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebAQID", "42[\"echo\",\"é 😀\"]", "41", "40", "42[\"connect\"]",
	} {
		add(fmt.Sprintf("POST %q", body), func(p *rawPeer) {
			q := p.open()
			p.do("POST", q, "40", forms)
			p.do("GET", q, "")
			p.do("POST", q, body, forms)
			time.Sleep(p.pause)
			p.do("POST", q, `4299["settle"]`, forms)
			p.drain(q)
		})
	}
	add("POST octet-stream", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, "40", "Content-Type: application/octet-stream")
		p.do("GET", q, "")
	})
	for _, method := range []string{"PUT", "DELETE", "OPTIONS"} {
		add(method+" in a session", func(p *rawPeer) {
			q := p.open()
			p.do(method, q, "")
			p.do("POST", q, "40")
			p.do("GET", q, "")
		})
	}
	for name, change := range map[string]func(string) string{
		"another version": func(q string) string { return strings.Replace(q, "EIO=4", "EIO=3", 1) }, "no version": func(q string) string { return strings.Replace(q, "EIO=4&", "", 1) },
		"another transport": wsQuery,
	} {
		add("GET in a session with "+name, func(p *rawPeer) {
			q := p.open()
			p.do("GET", change(q), "")
			p.do("POST", q, "40")
		})
	}
	add("close with a waiting poll", func(p *rawPeer) {
		q := p.open()
		poll := p.ask("GET", q, "")
		time.Sleep(50 * time.Millisecond) // there is no sign of its having arrived
		p.do("POST", q, "1")
		poll()
		p.do("GET", q, "")
	})
	add("overlapping polls", func(p *rawPeer) {
		q := p.open()
		poll := p.ask("GET", q, "")
		time.Sleep(50 * time.Millisecond)
		p.do("GET", q, "")
		poll()
		p.do("GET", q, "")
	})
	add("large poll, compressed", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, "40")
		p.do("GET", q, "")
		p.do("POST", q, `42["echo","`+strings.Repeat("abc ", 500)+`"]`)
		p.do("GET", q, "", "Accept-Encoding: gzip")
	})
	add("small poll, compressed", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, "40")
		p.do("GET", q, "", "Accept-Encoding: gzip")
	})
	add("bye over polling", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, "40\x1e42[\"do\",[[\"emit\",\"last\"],[\"bye\",true]]]")
		p.do("GET", q, "")
		p.do("GET", q, "")
		p.do("GET", q, "")
	})
	add("quick POST too large", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, strings.Repeat("4", 1001))
		p.do("POST", q, "40")
		p.do("GET", q, "")
	})
	add("quick POST just small enough", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, "40")
		p.do("GET", q, "")
		p.do("POST", q, `42["echo","`+strings.Repeat("x", 1000-13)+`"]`)
		p.do("GET", q, "")
	})
	add("quick heartbeat by polling", func(p *rawPeer) {
		q := p.open()
		p.do("POST", q, "40")
		p.do("GET", q, "")
		p.do("GET", q, "")
		p.do("POST", q, "3")
		p.do("GET", q, "")
		p.do("GET", q, "") // no pong: the end
		p.do("GET", q, "")
	})
	add("quick no CONNECT by polling", func(p *rawPeer) {
		q := p.open()
		for range 3 {
			p.do("GET", q, "")
			p.do("POST", q, "3")
		}
		p.do("GET", q, "")
		p.do("GET", q, "")
	})
}
