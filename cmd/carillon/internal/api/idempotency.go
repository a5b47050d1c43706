package api

import (
	"container/list"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxKey bounds an idempotency key, in bytes.
const maxKey = 255

// idempotencyKey returns the key that a request to a route that sends has.
func idempotencyKey(r *http.Request, rt *route) (string, error) {
	const header = "Idempotency-Key"
	given := r.Header.Values(header)
	if len(given) == 0 || !rt.sends {
		return "", nil
	}
	key := given[0]
	outside := func(c rune) bool { return c < ' ' || c > '~' }
	if len(given) > 1 || key == "" || len(key) > maxKey || strings.ContainsFunc(key, outside) {
		return "", faulty(Fault{Header: header, Detail: "expected one key of 1 to 255 printable ASCII characters"})
	}
	return key, nil
}

// fingerprint tells requests with one key apart.
func fingerprint(path string, content []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(path+"\n"), content...))
}

// replays are the answers to the idempotency keys of this node. A request that
// failed leaves nothing: it may be tried again.
type replays struct {
	ttl  time.Duration
	most int

	mu    sync.Mutex // guards what follows
	byKey map[string]*list.Element
	order *list.List // of *replay, the oldest first
}

type replay struct {
	key   string
	print [sha256.Size]byte
	until time.Time // zero while the request is under way
	ans   answer
}

func (rs *replays) init(ttl time.Duration, most int) {
	rs.ttl, rs.most = ttl, most
	rs.byKey, rs.order = make(map[string]*list.Element), list.New()
}

// once returns the answer to a key: that of serve at the first request, and
// the same one again later.
func (rs *replays) once(key string, print [sha256.Size]byte, serve func() answer) answer {
	rs.mu.Lock()
	rs.expire()
	if at, ok := rs.byKey[key]; ok {
		known := *at.Value.(*replay)
		rs.mu.Unlock()
		return known.again(print)
	}
	if rs.order.Len() >= rs.most && !rs.evict() {
		rs.mu.Unlock()
		return refused(problemf(unavailable, "%d requests with idempotency keys are under way", rs.most))
	}
	at := rs.order.PushBack(&replay{key: key, print: print})
	rs.byKey[key] = at
	rs.mu.Unlock()

	ans := serve()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if ans.status != http.StatusOK {
		rs.drop(at)
		return ans
	}
	r := at.Value.(*replay)
	r.until, r.ans = time.Now().Add(rs.ttl), ans
	rs.order.MoveToBack(at)
	return ans
}

// again is the answer to a key that is known.
func (r *replay) again(print [sha256.Size]byte) answer {
	switch {
	case r.print != print:
		p := problemf(keyReused, "use a new key for a new request")
		p.Errors = []Fault{{Header: "Idempotency-Key", Detail: "it came before, with another path or body"}}
		return refused(p)
	case r.until.IsZero():
		return refused(problemf(inProgress, "ask again when it has ended"))
	}
	ans := r.ans
	ans.replayed = true
	return ans
}

// expire drops what is too old. It needs mu.
func (rs *replays) expire() {
	now := time.Now()
	for at := rs.order.Front(); at != nil; {
		r, following := at.Value.(*replay), at.Next()
		if !r.until.IsZero() {
			if r.until.After(now) {
				return // those behind it are younger, or under way
			}
			rs.drop(at)
		}
		at = following
	}
}

// evict makes room by the oldest answer, if there is one. It needs mu.
func (rs *replays) evict() bool {
	for at := rs.order.Front(); at != nil; at = at.Next() {
		if !at.Value.(*replay).until.IsZero() {
			rs.drop(at)
			return true
		}
	}
	return false
}

// drop needs mu.
func (rs *replays) drop(at *list.Element) {
	delete(rs.byKey, at.Value.(*replay).key)
	rs.order.Remove(at)
}
