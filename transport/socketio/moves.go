package socketio

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// moves are the sockets of a namespace that go from node to node, and those that
// have: nil where there are no other nodes. What nodes say of them is of the
// topic "session".
//
// A client that is back here and not known asks its seat of the node that has
// it. That is done in two steps, so that the seat is nowhere or in two places at
// no time that matters: the other node grants it (take, give), for as long as a
// lease, and gives it up when it is asked once more (commit, committed). Until
// then all goes on there as ever, and a later client has the better claim.
type moves struct {
	namespace *Namespace
	peers     adapter.Peers
	stop      func() // of the watch on them

	mu      sync.Mutex // guards all below; a leaf
	last    uint64     // number of a request
	replies map[uint64]chan reply
	takes   map[string]chan struct{} // seats, by pid, that are on their way here; closed at the end
	bySID   map[adapter.SocketID]*whereabouts
	byPID   map[string]*whereabouts
	adopts  map[string]*adoption // by pid
	graves
	closed bool
}

// A reply is what came for a request.
type reply struct {
	from string
	news
}

// whereabouts say where a seat is that is not where its id says, as far as is
// known: of such a seat of this node, too.
type whereabouts struct {
	SID  adapter.SocketID `json:"sid"`
	PID  string           `json:"pid"`
	Term uint64           `json:"term"` // of the latest claim; what is said of earlier ones came late

	node  string // short id
	given bool   // by this node, and that it has come there was not heard yet
}

// A news is what nodes say of seats; which fields count depends on What.
type news struct {
	What    what   `json:"what"`
	Request uint64 `json:"req,omitempty"` // of the node that asks

	PID    string      `json:"pid,omitempty"`
	Offset string      `json:"offset,omitempty"`
	Age    int64       `json:"age,omitempty"` // in ms since the client asked for its seat
	Term   uint64      `json:"term,omitempty"`
	Why    Unrecovered `json:"why,omitempty"`
	Node   string      `json:"node,omitempty"`

	SID  adapter.SocketID `json:"sid,omitempty"`
	Dead []byte           `json:"dead,omitempty"` // a broker.NodeID
	Data json.RawMessage  `json:"data,omitempty"`
	Seat *seatNews        `json:"seat,omitempty"`

	Namespace string `json:"nsp,omitempty"`   // of what is offered
	Adopt     bool   `json:"adopt,omitempty"` // of Seat: it was offered, not asked for

	Placed []whereabouts `json:"placed,omitempty"`

	rest []byte // an adapter.Transfer
	room int    // of what is given up: see seat.unsure
}

type what string

const (
	newsTake      what = "take"      // to the node that should have the seat of PID
	newsGive      what = "give"      // it is granted in Term,
	newsNo        what = "no"        // or is not, and Why
	newsMoved     what = "moved"     // or is on Node
	newsCommit    what = "commit"    // the seat is to go
	newsCommitted what = "committed" // and goes: it is in Seat and rest
	newsAbort     what = "abort"     // it need not go after all
	newsOffer     what = "offer"     // the sender is about to stop: who takes the seat of PID?
	newsAccept    what = "accept"    // it may come,
	newsAdopted   what = "adopted"   // and is here or, Why, is not
	newsWho       what = "who"       // to all: who has the seat of PID?
	newsHere      what = "here"      // the answer of the one that has
	newsPlaced    what = "placed"    // to all: the sender has these seats now
	newsGone      what = "gone"      // to all: these seats are nowhere any more
	newsList      what = "list"      // which seats does the receiver have that it would have to tell of?
	newsData      what = "data"      // to the node that has the seat of SID: its data has changed
	newsOwed      what = "owed"      // what was said to the dead node alone, behind Term, since Age, that SID may not have?
	newsOwes      what = "owes"      // it is in rest
)

// seatNews is a seat that goes to another node.
type seatNews struct {
	PID   string          `json:"pid"`
	Entry string          `json:"entry,omitempty"`
	Whole bool            `json:"whole,omitempty"`
	Base  []adapter.Place `json:"base,omitempty"`
	Term  uint64          `json:"term"`
	Away  int64           `json:"away"` // in ms
	Ack   uint64          `json:"ack"`  // the least number of an acknowledgement that its client was never asked for
	Data  json.RawMessage `json:"data,omitempty"`
}

const topicSession = "session"

// append appends n's form on the wire: its JSON behind its length, and rest.
func (n *news) append(b []byte) ([]byte, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = append(b, text...)
	return append(b, n.rest...), nil
}

func decodeNews(b []byte) (n news, err error) {
	size, used := binary.Uvarint(b)
	if used <= 0 || size > uint64(len(b)-used) {
		return n, fmt.Errorf("socketio: malformed news of a seat, of %d bytes", len(b))
	}
	end := used + int(size)
	if err := json.Unmarshal(b[used:end], &n); err != nil {
		return n, fmt.Errorf("socketio: malformed news of a seat: %w", err)
	}
	n.rest = b[end:]
	return n, n.check()
}

// maxAge bounds what is said to have been a while ago, in ms.
const maxAge = 1 << 40

// check refuses what no node says, and would be kept for ever or lead astray.
func (n *news) check() error {
	far := func(ms int64) bool { return ms < 0 || ms > maxAge }
	switch {
	case far(n.Age):
		return fmt.Errorf("socketio: malformed news of a seat: asked for %d ms ago", n.Age)
	case n.Seat != nil && far(n.Seat.Away):
		return fmt.Errorf("socketio: malformed news of a seat: away since %d ms", n.Seat.Away)
	case n.Seat != nil && n.Seat.PID == "":
		return errors.New("socketio: malformed news of a seat: it has no pid")
	}
	return nil
}

func newMoves(n *Namespace, peers adapter.Peers) *moves {
	m := &moves{
		namespace: n, peers: peers,
		replies: make(map[uint64]chan reply), takes: make(map[string]chan struct{}),
		bySID: make(map[adapter.SocketID]*whereabouts), byPID: make(map[string]*whereabouts),
		adopts: make(map[string]*adoption),
	}
	peers.HandlePeers(topicSession, m.hear)
	m.stop = peers.WatchPeers(m.changed)
	m.tellAll(&news{What: newsList}) // those who are up already are not announced
	return m
}

// close hears no more of other nodes.
func (m *moves) close() {
	if m == nil {
		return
	}
	m.stop()
	m.peers.HandlePeers(topicSession, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endGraves()
}

// hear is the adapter.PeerHandler of the topic.
func (m *moves) hear(from string, body []byte) {
	n, err := decodeNews(body)
	if err != nil {
		m.namespace.logger().Debug("malformed message dropped", "from", from, "error", err)
		return
	}
	switch n.What {
	case newsTake:
		m.asked(from, n)
	case newsCommit:
		m.commit(from, n)
	case newsAbort:
		m.abort(from, n)
	case newsCommitted:
		m.arrive(from, n)
	case newsOwed:
		m.owes(from, n)
	case newsOffer:
		m.offered(from, n)
	case newsGive, newsNo, newsMoved, newsHere, newsOwes, newsAccept, newsAdopted:
		m.reply(from, n)
	case newsWho:
		m.who(from, n)
	case newsPlaced:
		for _, w := range n.Placed {
			w.node = from
			m.outdone(&w)
			m.placed(&w)
			m.announced(&w)
		}
	case newsGone:
		for _, w := range n.Placed {
			m.gone(w)
		}
	case newsList:
		m.list(from)
	case newsData:
		m.dataSet(n)
	}
}

// tell says something to a node.
func (m *moves) tell(node string, n *news) error {
	body, err := n.append(nil)
	if err == nil {
		err = m.peers.TellPeer(node, topicSession, body)
	}
	return err
}

// answer is tell where nobody can do anything about it if it fails: whoever asks
// does so again, or gives up.
func (m *moves) answer(node string, n *news) {
	if err := m.tell(node, n); err != nil {
		m.namespace.logger().Debug("a node that asked for a seat is not answered", "node", node, "error", err)
	}
}

func (m *moves) tellAll(n *news) {
	body, err := n.append(nil)
	if err == nil {
		err = m.peers.TellPeers(topicSession, body)
	}
	if err != nil {
		m.namespace.logger().Warn("other nodes are not told where a socket is", "error", err)
	}
}

// milliseconds is at least 0.
func milliseconds(d time.Duration) int64 { return max(0, d.Milliseconds()) }
