package adapter

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
)

func nodeID() (id broker.NodeID) {
	rand.Read(id[:])
	return id
}

var (
	never  = func(broker.NodeID) bool { return false }
	always = func(broker.NodeID) bool { return true }
)

func putItem(key string, body string) item {
	return item{kind: itemPut, key: key, term: 1, ttl: time.Minute, body: []byte(body)}
}

func wantFinding(t *testing.T, got, want finding) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// A record is given away only when its owner is dead, and once.
func TestDirectoryClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory(10, 1<<20)
		defer d.close()
		a, b, c := nodeID(), nodeID(), nodeID()
		dead := map[broker.NodeID]bool{}
		isDead := func(id broker.NodeID) bool { return dead[id] }
		d.take(a, putItem("k", "first"))
		d.take(a, item{kind: itemAdd, key: "k", term: 1, number: 1, body: []byte("more")})
		wantFinding(t, d.claim(b, "k", isDead), finding{what: answerLives, node: a})
		wantFinding(t, d.claim(b, "other", isDead), finding{what: answerNone})

		dead[a] = true
		d.down(a)
		granted := finding{what: answerGranted, term: 2, node: a, body: []byte("first"), added: [][]byte{[]byte("more")}}
		wantFinding(t, d.claim(b, "k", isDead), granted)
		wantFinding(t, d.claim(b, "k", isDead), granted) // b may not have been told in time
		wantFinding(t, d.claim(c, "k", isDead), finding{what: answerLives, node: b})
		d.release(b, "k", 2)
		wantFinding(t, d.claim(c, "k", isDead), granted)
		d.release(b, "k", 2) // not b's to release any more
		wantFinding(t, d.claim(b, "k", isDead), finding{what: answerLives, node: c})

		// Its claimant has died with no word: another can have what there is.
		dead[c] = true
		d.down(c)
		granted.term, granted.node = 3, c
		wantFinding(t, d.claim(b, "k", isDead), granted)

		// The first owner was not dead, and hears of it, whenever it speaks.
		dead[a] = false
		want := item{kind: itemLost, key: "k", term: 3, node: b}
		if got := d.up(a); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Fatalf("a node that is back is told %+v, want %+v", got, want)
		}
		if got := d.take(a, putItem("k", "stale")); got == nil || !reflect.DeepEqual(*got, want) {
			t.Fatalf("a node that has lost a record is told %+v, want %+v", got, want)
		}
		// Also when the claimant has put its own, and dropped it.
		own := putItem("k", "mine")
		own.term = 3
		if lost := d.take(b, own); lost != nil {
			t.Fatalf("the claimant is told %+v", lost)
		}
		wantFinding(t, d.claim(c, "k", isDead), finding{what: answerLives, node: b})
		d.take(b, item{kind: itemDrop, key: "k", term: 3})
		if got := d.take(a, putItem("k", "stale")); got == nil {
			t.Fatal("a node is not told that it has lost a record which is gone")
		}
		time.Sleep(time.Minute + 2*time.Second)
		synctest.Wait()
		if len(d.records) != 0 || len(d.claims) != 0 || d.bytes != 0 || d.mortal != 0 {
			t.Errorf("%d records, %d claims, %d bytes are left, %d to expire", len(d.records), len(d.claims), d.bytes, d.mortal)
		}
	})
}

// A record outlives its owner for its ttl, and no longer; one whose owner was
// only silent stays.
func TestDirectoryExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory(10, 1<<20)
		defer d.close()
		a, b := nodeID(), nodeID()
		d.take(a, putItem("a", ""))
		d.take(b, putItem("b", ""))
		d.down(a)
		d.down(b)
		time.Sleep(50 * time.Second)
		d.up(b)
		if got := d.claim(b, "a", always); got.what != answerGranted {
			t.Fatalf("got %+v of a record that is 50 s past its owner", got)
		}
		d.release(b, "a", 2)
		time.Sleep(72 * time.Second) // a claim begins the time anew
		synctest.Wait()
		if got := d.claim(b, "a", always); got.what != answerNone {
			t.Errorf("got %+v of a record that has expired", got)
		}
		if got := d.claim(a, "b", never); got.what != answerLives {
			t.Errorf("got %+v of a record whose owner is back", got)
		}
	})
}

func TestDirectoryBounds(t *testing.T) {
	d := newDirectory(3, 3*recordCost+100)
	defer d.close()
	a := nodeID()
	for i := range 5 {
		d.take(a, putItem(fmt.Sprint(i), "x"))
	}
	if len(d.records) != 3 || d.refused != 2 {
		t.Errorf("%d records, %d refused, want 3 and 2", len(d.records), d.refused)
	}
	d.take(a, putItem("0", strings.Repeat("x", 200)))
	if len(d.records) != 2 || d.refused != 3 {
		t.Errorf("%d records, %d refused, want 2 and 3", len(d.records), d.refused)
	}
	// What does not follow ends the record.
	d.take(a, item{kind: itemAdd, key: "1", term: 1, number: 2, body: []byte("x")})
	if d.records["1"] != nil || d.refused != 4 {
		t.Errorf("a record with a hole is kept")
	}
	d.take(a, item{kind: itemDrop, key: "2", term: 1})
	if len(d.records) != 0 || d.bytes != 0 || len(d.owners) != 0 {
		t.Errorf("%d records of %d owners with %d bytes are left", len(d.records), len(d.owners), d.bytes)
	}
}

func FuzzDecodeItems(f *testing.F) {
	note := []byte{directoryVersion}
	for _, i := range []item{
		putItem("key", "body"),
		{kind: itemAdd, key: "k", term: 1 << 40, number: 7, body: []byte("x")},
		{kind: itemDrop, key: "k"},
		{kind: itemLost, key: "k", term: 2, node: broker.NodeID{1, 2, 3}},
	} {
		note = i.append(note)
		f.Add(note)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once := []byte{directoryVersion}
		var all []item
		if decodeItems(in, func(i item) { once = i.append(once); all = append(all, i) }) != nil {
			if all != nil {
				t.Errorf("%q is refused, and used", in)
			}
			return
		}
		twice := []byte{directoryVersion}
		if err := decodeItems(once, func(i item) { twice = i.append(twice) }); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q encodes as %q, which does not come back (%v)", in, once, err)
		}
		d := newDirectory(4, 4<<10)
		defer d.close()
		for _, i := range all {
			d.take(broker.NodeID{1}, i)
		}
		if len(d.records) > 4 || d.bytes > 4<<10 {
			t.Errorf("%d records, %d bytes", len(d.records), d.bytes)
		}
	})
}

func FuzzDecodeFinding(f *testing.F) {
	for _, x := range []finding{
		{},
		{what: answerLives, node: broker.NodeID{1}},
		{what: answerGranted, term: 3, node: broker.NodeID{1}, body: []byte("b"), added: [][]byte{[]byte("x"), {}}},
	} {
		f.Add(x.append(nil))
	}
	f.Add(appendRequest(nil, requestClaim, "key", 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		if x, err := decodeFinding(in); err == nil {
			if again, err := decodeFinding(x.append(nil)); err != nil || !reflect.DeepEqual(again, x) {
				t.Errorf("%q does not come back (%v)", in, err)
			}
		}
		if what, key, term, err := decodeRequest(in); err == nil {
			w, k, n, err := decodeRequest(appendRequest(nil, what, key, term))
			if err != nil || w != what || k != key || n != term {
				t.Errorf("%q does not come back (%v)", in, err)
			}
		}
	})
}

// A shelfNet is nodes that have each other keep records.
type shelfNet struct {
	mu    sync.Mutex // guards all below
	nodes map[broker.NodeID]*shelfNode
	notes int
}

type shelfNode struct {
	broker.Member
	*deposits
	source    *DepositSource
	directory *directory
	truth     map[string][]string // what its records say; guarded by the net's mu
}

func newShelfNet() *shelfNet { return &shelfNet{nodes: make(map[broker.NodeID]*shelfNode)} }

func (s *shelfNet) add(name string) *shelfNode {
	n := &shelfNode{Member: broker.Member{ID: nodeID(), Name: name}, directory: newDirectory(1000, 1<<20), truth: make(map[string][]string)}
	n.deposits = newDeposits(func(to broker.NodeID, note []byte) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notes++
		if s.nodes[to] == nil {
			return broker.ErrUnknownNode
		}
		return decodeItems(note, func(i item) { s.nodes[to].directory.take(n.ID, i) })
	}, func() []broker.Member { return s.others(n.ID) })
	n.source = &DepositSource{TTL: time.Minute, Whole: func(keys []string) map[string][]byte {
		s.mu.Lock()
		defer s.mu.Unlock()
		all := make(map[string][]byte)
		for _, key := range keys {
			if said, ok := n.truth[key]; ok {
				all[key] = []byte(strings.Join(said, ","))
			}
		}
		return all
	}}
	s.mu.Lock()
	s.nodes[n.ID] = n
	s.mu.Unlock()
	s.announce()
	return n
}

func (s *shelfNet) kill(n *shelfNode) {
	s.mu.Lock()
	delete(s.nodes, n.ID)
	s.mu.Unlock()
	n.deposits.close()
	n.directory.close()
	s.announce()
	for _, o := range s.nodes {
		o.directory.down(n.ID)
	}
}

func (s *shelfNet) announce() {
	for _, n := range s.nodes {
		n.changed()
	}
}

func (s *shelfNet) others(but broker.NodeID) (ms []broker.Member) {
	for _, o := range s.nodes {
		if o.ID != but {
			ms = append(ms, o.Member)
		}
	}
	return ms
}

func (s *shelfNet) close() {
	for _, n := range s.nodes {
		n.deposits.close()
		n.directory.close()
	}
}

func (n *shelfNode) say(s *shelfNet, key, what string) {
	s.mu.Lock()
	said, known := n.truth[key]
	n.truth[key] = append(said, what)
	s.mu.Unlock()
	if known {
		n.add(key, []byte(what))
	} else {
		n.put(n.source, key, 1, []byte(what))
	}
}

// check looks whether each record is where it belongs, complete, and only there.
func (s *shelfNet) check(t *testing.T, n *shelfNode) {
	t.Helper()
	for key, said := range n.truth {
		winner, ok := Rendezvous(key, s.others(n.ID))
		for _, o := range s.nodes {
			r := o.directory.records[key]
			if o.ID != winner.ID || !ok {
				if r != nil {
					t.Errorf("%s has a record of %s that is %s's", o.Name, n.Name, winner.Name)
				}
				continue
			}
			if r == nil {
				t.Errorf("%s does not have a record of %s", o.Name, n.Name)
				continue
			}
			var all strings.Builder
			all.Write(r.body)
			for _, a := range r.added {
				all.WriteString("," + string(a))
			}
			if want := strings.Join(said, ","); all.String() != want {
				t.Errorf("%s has %q of %s, want %q", o.Name, all.String(), n.Name, want)
			}
		}
	}
}

// Records follow the members: those that fall to another node are there within
// depositSpread, and no others are said again.
func TestDepositsFollowMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelfNet()
		defer s.close()
		a, b := s.add("a"), s.add("b")
		s.add("c")
		for i := range 300 {
			a.say(s, fmt.Sprint("a", i), "put")
			b.say(s, fmt.Sprint("b", i), "put")
			if i%3 == 0 {
				a.say(s, fmt.Sprint("a", i), "add")
			}
		}
		time.Sleep(depositBatch)
		synctest.Wait()
		s.check(t, a)
		s.check(t, b)

		d := s.add("d")
		for i := range 50 { // while they move
			time.Sleep(100 * time.Millisecond)
			a.say(s, fmt.Sprint("a", i*6), fmt.Sprint("later ", i))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s.check(t, a)
		if n := len(d.directory.records); n < 130 || n > 270 {
			t.Errorf("%d of 600 records fall to one of three nodes", n)
		}

		s.kill(d)
		time.Sleep(depositSpread / 2)
		synctest.Wait()
		a.deposits.mu.Lock()
		n := len(a.deposits.moving)
		a.deposits.mu.Unlock()
		if n < 20 || n > 100 {
			t.Errorf("half of the time later %d records are to move", n)
		}
		time.Sleep(depositSpread)
		synctest.Wait()
		s.check(t, a)
		s.check(t, b)
	})
}

// What changes often is said in few notes; a change by itself at once.
func TestDepositsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelfNet()
		defer s.close()
		a := s.add("a")
		s.add("b")
		a.say(s, "k", "put")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s.notes != 1 {
			t.Errorf("%d notes, want one at once", s.notes)
		}
		for i := range 500 { // over half a second
			a.say(s, fmt.Sprint("k", i%20), "x")
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if s.notes < 9 || s.notes > 13 {
			t.Errorf("%d notes of changes over 500 ms, want one in 50 ms", s.notes)
		}
		time.Sleep(depositBatch)
		synctest.Wait()
		s.check(t, a)
		delete(a.truth, "k")
		a.drop("k")
		time.Sleep(depositBatch)
		synctest.Wait()
		for _, n := range s.nodes {
			if n.directory.records["k"] != nil {
				t.Errorf("%s has a record that was dropped", n.Name)
			}
		}
	})
}

// What a node was not told is said again.
func TestDepositsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelfNet()
		defer s.close()
		a, b := s.add("a"), s.add("b")
		post := a.post
		var fail atomic.Bool
		fail.Store(true)
		a.post = func(to broker.NodeID, note []byte) error {
			if fail.Load() {
				return broker.ErrOverflow
			}
			return post(to, note)
		}
		a.say(s, "k", "put")
		a.say(s, "k", "add")
		time.Sleep(time.Second)
		synctest.Wait()
		fail.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		a.say(s, "k", "more")
		time.Sleep(depositBatch)
		synctest.Wait()
		s.check(t, a)
		b.directory.take(a.ID, item{kind: itemDrop, key: "k", term: 1}) // b has missed something
		a.missed(b.ID)
		time.Sleep(depositSpread)
		synctest.Wait()
		s.check(t, a)
	})
}

// What was missed of a node's words costs no record, unless the node, which is
// asked for them again, does not put it once more.
func TestDirectoryMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory(10, 1<<20)
		defer d.close()
		a := nodeID()
		d.take(a, putItem("k", "x"))
		d.take(a, putItem("dropped", "x"))
		if !d.missed(a) || d.missed(nodeID()) {
			t.Error("not who keeps something here is to say it again")
		}
		d.take(a, putItem("k", "y"))
		time.Sleep(time.Minute + 2*time.Second)
		synctest.Wait()
		if d.records["dropped"] != nil || d.records["k"] == nil {
			t.Errorf("%d records are left, want the one that was put again", len(d.records))
		}
		d.missed(a) // the last that was heard of it
		d.down(a)
		if got := d.claim(nodeID(), "k", always); string(got.body) != "y" {
			t.Errorf("got %+v", got)
		}
	})
}
