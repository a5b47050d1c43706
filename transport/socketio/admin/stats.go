package admin

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// statsInterval is the time between two reports, as in Node's.
const statsInterval = 2 * time.Second

// stats counts what passes through this node.
type stats struct {
	base  serverStats
	start time.Time

	opened, packetsIn, packetsOut, bytesIn, bytesOut atomic.Int64

	mu     sync.Mutex // guards closed
	closed map[engineio.Reason]int64
}

// serverStats is the event "server_stats".
type serverStats struct {
	ServerID     string           `json:"serverId"`
	Hostname     string           `json:"hostname"`
	PID          int              `json:"pid"`
	Uptime       float64          `json:"uptime"` // in seconds
	Clients      int              `json:"clientsCount"`
	Polling      int              `json:"pollingClientsCount"`
	Aggregations []aggregation    `json:"aggregatedEvents"` // since the last report
	Namespaces   []namespaceStats `json:"namespaces"`
}

type namespaceStats struct {
	Name    string `json:"name"`
	Sockets int    `json:"socketsCount"` // of this node
}

type aggregation struct {
	Timestamp int64  `json:"timestamp"` // Unix time in milliseconds, of a full second
	Type      string `json:"type"`
	SubType   string `json:"subType,omitempty"`
	Count     int64  `json:"count"`
}

func newStats(serverID string) *stats {
	if serverID == "" {
		serverID = defaultServerID()
	}
	host, _ := os.Hostname()
	return &stats{
		base:   serverStats{ServerID: serverID, Hostname: host, PID: os.Getpid()},
		start:  time.Now(),
		closed: make(map[engineio.Reason]int64),
	}
}

func (s *stats) observer() engineio.Observer {
	return engineio.Observer{
		Opened: func(string) { s.opened.Add(1) },
		Closed: func(_ string, reason engineio.Reason) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.closed[reason]++
		},
		Received: func(packets, bytes int) {
			s.packetsIn.Add(int64(packets))
			s.bytesIn.Add(int64(bytes))
		},
		Sent: func(packets, bytes int) {
			s.packetsOut.Add(int64(packets))
			s.bytesOut.Add(int64(bytes))
		},
	}
}

// take returns what was counted since it was last called.
func (s *stats) take() []aggregation {
	now := time.Now().Unix() * 1000
	var all []aggregation
	add := func(typ, subType string, count int64) {
		if count > 0 {
			all = append(all, aggregation{now, typ, subType, count})
		}
	}
	add("rawConnection", "", s.opened.Swap(0))
	add("packetsIn", "", s.packetsIn.Swap(0))
	add("bytesIn", "", s.bytesIn.Swap(0))
	add("packetsOut", "", s.packetsOut.Swap(0))
	add("bytesOut", "", s.bytesOut.Swap(0))
	s.mu.Lock()
	defer s.mu.Unlock()
	for reason, count := range s.closed {
		add("rawDisconnection", string(reason), count)
	}
	clear(s.closed)
	return all
}

func (s *stats) report(io *socketio.Server, counted []aggregation) serverStats {
	r := s.base
	r.Uptime = time.Since(s.start).Seconds()
	r.Clients, r.Polling = io.Sessions(), io.PollingSessions()
	r.Aggregations = append([]aggregation{}, counted...) // not null in JSON
	for _, n := range io.Namespaces() {
		r.Namespaces = append(r.Namespaces, namespaceStats{n.Name(), n.Len()})
	}
	return r
}

// tellStats reports to the administrators of all nodes.
func (a *Admin) tellStats() {
	counted := a.stats.take() // also if nobody hears it
	if !a.silent() {
		a.send(message{event: "server_stats", args: []any{a.stats.report(a.io, counted)}})
	}
	if n := a.queue.lost(); n > 0 {
		a.logger.Warn("events for administrators dropped", "count", n)
	}
}
