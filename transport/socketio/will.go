package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// wills are what the seats of a namespace leave behind, should this node die:
// other nodes keep them, by the seats' pids, and give them to the node on which
// the client is back. nil where there are no other nodes.
type wills struct {
	namespace *Namespace
	keeper    willKeeper
	source    adapter.DepositSource
}

type willKeeper interface {
	adapter.Keeper
	adapter.Peers
}

// A will is the whole, or what has changed since.
type will struct {
	Version int `json:"v"`

	ID    adapter.SocketID `json:"sid,omitempty"` // of the whole
	Rooms []adapter.Room   `json:"rooms,omitempty"`
	Left  []adapter.Room   `json:"left,omitempty"` // of a change

	Set  bool            `json:"set,omitempty"` // the data was
	Data json.RawMessage `json:"data,omitempty"`

	// What had been heard when it was written, as adapter.Log.Heard has it.
	At string `json:"at,omitempty"`

	// Of the whole, for Namespace.regain.
	Node   string `json:"node,omitempty"`   // which has written it
	Entry  string `json:"entry,omitempty"`  // the seat's
	First  bool   `json:"first,omitempty"`  // it was written as the seat came to be, there
	Moved  bool   `json:"moved,omitempty"`  // which it did by coming from another node,
	Ahead  string `json:"ahead,omitempty"`  // when its client had, or was to get, as much
	Age    int64  `json:"age,omitempty"`    // for how long it had been there, in ms
	Unsure bool   `json:"unsure,omitempty"` // its rooms had changed lately

	Parked bool `json:"parked,omitempty"` // its client has gone; of a change, too
	Back   bool `json:"back,omitempty"`   // of a change: and has come back
}

const willVersion = 1

const (
	// lateWill is for how much longer than a client may be away its will is
	// kept, for its window to begin when the death is noticed.
	lateWill = time.Minute

	maxWillData  = 64 << 10 // bytes
	maxWillRooms = 100_000
)

var errWill = errors.New("socketio: malformed will")

func newWills(n *Namespace, keeper willKeeper, window time.Duration) *wills {
	w := &wills{namespace: n, keeper: keeper}
	w.source = adapter.DepositSource{TTL: window + lateWill, Whole: w.whole, Lost: w.lost}
	return w
}

// A bequest is what was kept of a seat.
type bequest struct {
	first   will
	changes []will // since, in order
	now     will   // what has become of it
}

func decodeWill(body []byte, added [][]byte) (b bequest, err error) {
	if b.first, err = decodeOne(body); err != nil {
		return bequest{}, err
	}
	b.now = b.first
	w := &b.now
	if len(w.ID) == 0 || len(w.ID) > maxTicket {
		return bequest{}, fmt.Errorf("%w: of no socket", errWill)
	}
	rooms := make(map[adapter.Room]bool)
	for _, r := range w.Rooms {
		rooms[r] = true
	}
	for _, text := range added {
		change, err := decodeOne(text)
		if err != nil {
			return bequest{}, err
		}
		b.changes = append(b.changes, change)
		for _, r := range change.Rooms {
			rooms[r] = true
		}
		for _, r := range change.Left {
			delete(rooms, r)
		}
		if change.Set {
			w.Data = change.Data
		}
		w.Parked = (w.Parked || change.Parked) && !change.Back
		if len(rooms) > maxWillRooms {
			return bequest{}, fmt.Errorf("%w: over %d rooms", errWill, maxWillRooms)
		}
	}
	delete(rooms, adapter.Room(w.ID))
	w.Rooms = slices.Sorted(maps.Keys(rooms))
	return b, nil
}

func decodeOne(b []byte) (w will, err error) {
	if err := json.Unmarshal(b, &w); err != nil {
		return will{}, fmt.Errorf("%w: %w", errWill, err)
	}
	if w.Version != willVersion || len(w.Rooms) > maxWillRooms || len(w.Data) > maxWillData {
		return will{}, fmt.Errorf("%w: version %d, %d rooms, %d bytes of data", errWill, w.Version, len(w.Rooms), len(w.Data))
	}
	return w, nil
}

// bequeath has other nodes keep what the seat is. It is called under the
// sequencer.
func (a *seat) bequeath(rooms []adapter.Room, first bool) {
	w := a.namespace.wills
	if w == nil {
		return
	}
	a.kept.Store(true)
	edits := a.edits.Load()
	a.mu.Lock()
	term := a.term + 1
	a.mu.Unlock()
	body, err := a.will(rooms, a.namespace.log.Heard(), first)
	if err == nil {
		err = w.keeper.Keep(&w.source, a.pid, term, body)
	}
	switch {
	case err != nil:
		w.failed(a, err)
	case a.edits.Load() != edits: // which was not kept yet, to be changed
		a.mu.Lock()
		data := a.data
		a.mu.Unlock()
		a.bequeathData(data)
	}
}

// failed gives up to have a seat kept: what is too large.
func (w *wills) failed(a *seat, err error) {
	w.namespace.logger().Warn("a socket would be lost with its node", "socket", a.id, "error", err)
	a.revoke()
}

// revoke has a seat kept no more.
func (a *seat) revoke() {
	if a.kept.Swap(false) {
		a.namespace.wills.keeper.KeepNo(a.pid)
	}
}

// will returns the whole, at a moment when so much had been heard.
func (a *seat) will(rooms []adapter.Room, heard string, first bool) ([]byte, error) {
	a.mu.Lock()
	data, parked := a.data, a.state == seatParked
	a.mu.Unlock()
	w := will{
		Version: willVersion, ID: a.id, Rooms: rooms,
		At: heard, Node: a.namespace.log.Node(), Entry: a.entry, First: first, Moved: a.moved, Ahead: a.ahead, Parked: parked,
	}
	if !first {
		r := a.namespace.server.recovery
		w.Age = milliseconds(time.Since(a.came))
		w.Unsure = time.Since(time.Unix(0, a.roomy.Load())) < r.retention
	}
	var err error
	if data != nil {
		w.Data, err = a.namespace.server.recovery.opts.encodeWill(data)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(&w)
}

func (o *Recovery) encodeWill(data any) (json.RawMessage, error) {
	b, err := o.encode(data)
	if err == nil && len(b) > maxWillData {
		err = fmt.Errorf("socketio: data of %d bytes, at most %d are kept", len(b), maxWillData)
	}
	return b, err
}

// RoomChanged implements adapter.Roomer.
func (a *seat) RoomChanged(room adapter.Room, joined bool) {
	if !a.kept.Load() {
		return
	}
	a.roomy.Store(time.Now().UnixNano())
	w := will{Version: willVersion, At: a.namespace.log.Heard()}
	if joined {
		w.Rooms = []adapter.Room{room}
	} else {
		w.Left = []adapter.Room{room}
	}
	a.amend(&w)
}

// bequeathData follows SetData.
func (a *seat) bequeathData(data any) {
	a.edits.Add(1)
	if !a.kept.Load() {
		return
	}
	encoded, err := a.namespace.server.recovery.opts.encodeWill(data)
	if err != nil {
		a.namespace.wills.failed(a, err)
		return
	}
	a.amend(&will{Version: willVersion, Set: true, Data: encoded})
}

func (a *seat) amend(change *will) {
	if !a.kept.Load() {
		return
	}
	body, err := json.Marshal(change)
	if err != nil { // which it can't be made to
		return
	}
	a.namespace.wills.keeper.KeepMore(a.pid, body)
}

// whole implements adapter.DepositSource.
func (w *wills) whole(pids []string) map[string][]byte {
	n := w.namespace
	all := make(map[string][]byte, len(pids))
	for _, pid := range pids {
		a := n.seatOf(pid)
		if a == nil || !a.kept.Load() {
			continue
		}
		var rooms []adapter.Room
		var heard string
		n.log.Sequence(func() { rooms, heard = n.adapter.Rooms(a.id), n.log.Heard() })
		if body, err := a.will(rooms, heard, false); err == nil {
			all[pid] = body
		}
	}
	return all
}

// lost implements adapter.DepositSource: this node was taken to be dead, and the
// client is on another. The seat is its no more.
func (w *wills) lost(pid string, _ uint64, _ broker.NodeID) {
	a := w.namespace.seatOf(pid)
	if a == nil {
		return
	}
	a.kept.Store(false)
	w.keeper.Outlive(a.id)
	a.mu.Lock()
	a.term++
	term := a.term
	a.mu.Unlock()
	a.vacate(term)
	a.drop(LapseClaimed)
}
