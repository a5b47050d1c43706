package socketio

import (
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// lateNews is how late what a node says may come, while it is not lost.
const lateNews = time.Minute

// graves are seats that were elsewhere and have vanished lately: what nodes said
// of them before, and comes late, would bring them back for good. Guarded by the
// mu of moves.
type graves struct {
	dug   map[adapter.SocketID]grave
	sweep *time.Timer // nil: there is none, or all are over
}

type grave struct {
	least uint64 // the term from which on news is not late
	until time.Time
}

// bury drops a seat's whereabouts: news of terms below least is late. It needs mu.
func (m *moves) bury(id adapter.SocketID, least uint64) {
	m.delete(id)
	if m.dug == nil {
		m.dug = make(map[adapter.SocketID]grave)
	}
	m.dug[id] = grave{max(least, m.dug[id].least), time.Now().Add(lateNews)}
	if m.sweep == nil && !m.closed {
		m.sweep = time.AfterFunc(lateNews, m.level)
	}
}

// late reports whether what is said of a seat is of the time before it vanished.
// It needs mu.
func (m *moves) late(w *whereabouts) bool {
	g, dead := m.dug[w.SID]
	return dead && w.Term < g.least
}

// level does away with the graves that are old.
func (m *moves) level() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for id, g := range m.dug {
		if !now.Before(g.until) {
			delete(m.dug, id)
		}
	}
	if m.sweep = nil; len(m.dug) > 0 && !m.closed {
		m.sweep = time.AfterFunc(lateNews/2, m.level)
	}
}

// endGraves needs mu.
func (m *moves) endGraves() {
	m.closed = true
	if m.sweep != nil {
		m.sweep.Stop()
	}
}
