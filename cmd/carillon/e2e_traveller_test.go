package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// A traveller is a client in this process, so that there can be thousands, that
// does what the official one does when it loses its connection: it comes back a
// second later, give or take a half, and says who it was and what it had.
type traveller struct {
	url, user, room string

	ready chan struct{} // closed once it is in its room
	once  sync.Once

	mu       sync.Mutex // guards all below
	conn     *websocket.Conn
	pid      string
	offset   string
	instance string // where it is
	heard    map[string]*ledger
	said     []utterance // the first is number 1
	journeys []journey
	refused  []string // attempts to connect that failed
	anew     int      // times that it was let in as another, after the first
}

// An utterance is what a traveller has said.
type utterance struct {
	to    string // a user, or "" for its room
	at    string // the instance that was told
	acked bool
}

// A journey is from the loss of a connection to the next one.
type journey struct {
	from, to   string // instances
	lost, back time.Time
	recovered  bool
}

// A ledger is what a traveller heard from one other, in one way.
type ledger struct {
	times    []uint8 // by number, how often
	last     int
	disorder [][2]int // a number, and that before it, which is not smaller
}

func (l *ledger) take(n int) {
	for len(l.times) <= n {
		l.times = append(l.times, 0)
	}
	l.times[n]++
	if n <= l.last {
		l.disorder = append(l.disorder, [2]int{n, l.last})
	}
	l.last = n
}

func newTraveller(url, user, room string) *traveller {
	return &traveller{
		url: url, user: user, room: room,
		ready: make(chan struct{}), heard: make(map[string]*ledger),
	}
}

// travel connects, again and again, until ctx ends.
func (v *traveller) travel(ctx context.Context, through *http.Client) {
	var under journey
	for attempt := 0; ctx.Err() == nil; {
		err := v.connect(ctx, through, &under)
		if err == nil {
			attempt = 0
			v.listen(ctx)
			under = journey{lost: time.Now()}
			v.mu.Lock()
			under.from, v.conn = v.instance, nil
			v.mu.Unlock()
		} else if ctx.Err() == nil {
			v.mu.Lock()
			v.refused = append(v.refused, err.Error())
			v.mu.Unlock()
		}
		// As the official client: a second, doubled with each failure, of which
		// chance takes or adds a half, and five seconds at most.
		pause := min(time.Second<<min(attempt, 3), 5*time.Second)
		wait(ctx, pause/2+rand.N(pause))
		attempt++
	}
}

// connect connects, up to the answer to CONNECT.
func (v *traveller) connect(ctx context.Context, through *http.Client, under *journey) error {
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second) // the official client's
	defer cancel()
	conn, _, err := websocket.Dial(bounded, v.url+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPClient: through})
	if err != nil {
		return err
	}
	conn.SetReadLimit(-1)
	auth := map[string]string{"user": v.user}
	v.mu.Lock()
	if v.pid != "" {
		auth["pid"] = v.pid
	}
	if v.offset != "" {
		auth["offset"] = v.offset
	}
	v.mu.Unlock()
	text, _ := json.Marshal(auth)
	if err := conn.Write(bounded, websocket.MessageText, append([]byte("40"), text...)); err != nil {
		conn.CloseNow()
		return err
	}
	for {
		_, data, err := conn.Read(bounded)
		if err != nil {
			conn.CloseNow()
			return err
		}
		answer, ok := bytes.CutPrefix(data, []byte("40"))
		if !ok {
			if data[0] == '4' {
				conn.CloseNow()
				return fmt.Errorf("instead of an answer to CONNECT came %s", data)
			}
			continue
		}
		var connected struct{ PID string }
		if err := json.Unmarshal(answer, &connected); err != nil {
			conn.CloseNow()
			return err
		}
		v.connected(conn, connected.PID, under)
		return nil
	}
}

func (v *traveller) connected(conn *websocket.Conn, pid string, under *journey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	under.back, under.recovered = time.Now(), pid == v.pid
	if v.pid != "" {
		v.journeys = append(v.journeys, *under)
	}
	if !under.recovered {
		if v.pid != "" {
			v.anew++
		}
		_ = v.write(conn, `420["room:join",`+strconv.Quote(v.room)+`]`)
	}
	v.conn, v.pid = conn, pid
}

func (v *traveller) write(conn *websocket.Conn, text string) error {
	if conn == nil {
		return net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, []byte(text))
}

// listen reads until the connection ends.
func (v *traveller) listen(ctx context.Context) {
	v.mu.Lock()
	conn := v.conn
	v.mu.Unlock()
	defer conn.CloseNow()
	for {
		_, data, err := conn.Read(ctx)
		switch {
		case err != nil, string(data) == "41":
			return
		case string(data) == "2":
			if v.write(conn, "3") != nil {
				return
			}
		case len(data) < 2 || data[0] != '4':
		case data[1] == '2':
			v.event(data[2:])
		case data[1] == '3':
			v.ack(data[2:])
		}
	}
}

func (v *traveller) event(data []byte) {
	var args []json.RawMessage
	if json.Unmarshal(data, &args) != nil || len(args) < 2 {
		return
	}
	var name, offset string
	_ = json.Unmarshal(args[0], &name)
	v.mu.Lock()
	defer v.mu.Unlock()
	if json.Unmarshal(args[len(args)-1], &offset) == nil {
		v.offset = offset
	}
	switch name {
	case "session":
		var session struct{ Instance string }
		_ = json.Unmarshal(args[1], &session)
		v.instance = session.Instance
		if n := len(v.journeys); n > 0 {
			v.journeys[n-1].to = v.instance
		}
	case "room:message", "message":
		var message struct {
			From string
			Data int
		}
		if json.Unmarshal(args[1], &message) != nil {
			return
		}
		l := v.heard[name+" of "+message.From]
		if l == nil {
			l = new(ledger)
			v.heard[name+" of "+message.From] = l
		}
		l.take(message.Data)
	}
}

// ack takes an acknowledgement: 0 is that of room:join.
func (v *traveller) ack(data []byte) {
	i := bytes.IndexByte(data, '[')
	id, err := strconv.Atoi(string(data[:max(i, 0)]))
	if err != nil || !bytes.Contains(data, []byte(`"ok":true`)) {
		return
	}
	if id == 0 {
		v.once.Do(func() { close(v.ready) })
		return
	}
	v.mu.Lock()
	v.said[id-1].acked = true
	v.mu.Unlock()
}

// say sends its next message, to a user or, if to is "", to its room, and
// returns its number; 0 if it is under way. One goroutine at a time may call it.
func (v *traveller) say(to string) (n int) {
	event, field, whom := "message", "to", to
	if to == "" {
		event, field, whom = "room:message", "room", v.room
	}
	v.mu.Lock()
	conn := v.conn
	if conn == nil {
		v.mu.Unlock()
		return 0
	}
	v.said = append(v.said, utterance{to: to, at: v.instance})
	n = len(v.said)
	v.mu.Unlock()
	_ = v.write(conn, fmt.Sprintf(`42%d["%s",{"%s":"%s","data":%d}]`, n, event, field, whom, n)) // else it is not acknowledged
	return n
}

func (v *traveller) wasAcked(n int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return n > 0 && v.said[n-1].acked
}

// where tells at which instance it is, or "" if it is under way.
func (v *traveller) where() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn == nil {
		return ""
	}
	return v.instance
}

// cut has it lose its connection.
func (v *traveller) cut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.conn != nil {
		_ = v.conn.CloseNow()
	}
}

// throughMany is a client for as many WebSockets as there are.
func throughMany() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConns: 1, ReadBufferSize: 2048, WriteBufferSize: 2048}}
}
