package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is what a run measured. Rates and CPU are those of the measurement
// alone, without warming up.
type Report struct {
	Scenario Scenario `json:"scenario"`
	URLs     []string `json:"urls"`
	Loop     string   `json:"loop"` // "open" or "closed"
	InFlight int      `json:"inFlight,omitempty"`
	Rate     float64  `json:"rate,omitempty"` // asked for, a second
	Payload  int      `json:"payload,omitempty"`
	Clients  int      `json:"clients"` // that connected
	Seconds  float64  `json:"seconds"` // measured

	Sent      int64 `json:"sent"`
	Delivered int64 `json:"delivered"` // to one client each
	Completed int64 `json:"completed"` // messages that reached all that they were for
	Lost      int64 `json:"lost"`      // messages that did not, in time

	// PerSecond is the number of deliveries, of connect of connections, in a
	// second. Latency is of each delivery; of connect and idle of each
	// connection; of presence of the last watcher's; with acknowledgements, of
	// those.
	PerSecond float64    `json:"perSecond"`
	Latency   *Quantiles `json:"latencyMillis,omitempty"`

	Self    Process   `json:"self"` // the load generator
	Servers []Process `json:"servers,omitempty"`

	// ServerMicros is the CPU of all servers for each delivery, of connect
	// for each connection, in microseconds.
	ServerMicros float64 `json:"serverMicros,omitempty"`
	SelfMicros   float64 `json:"selfMicros,omitempty"`

	// RSSPerClient is by how many bytes all servers together have grown, for
	// each client.
	RSSPerClient float64 `json:"rssPerClient,omitempty"`

	Errors map[string]int `json:"errors,omitempty"` // what went wrong, and how often
}

// A Process is what a process used during the measurement.
type Process struct {
	PID       int     `json:"pid,omitempty"`
	CPU       float64 `json:"cpuSeconds"`
	Load      float64 `json:"cpus"`               // processors kept busy
	RSS       int64   `json:"rss,omitempty"`      // bytes at its end
	RSSBefore int64   `json:"rssQuiet,omitempty"` // bytes before the first client
}

func (r *run) report() *Report {
	m := &r.measured
	seconds := m.after.at.Sub(m.before.at).Seconds()
	p := &Report{
		Scenario:  r.o.Scenario,
		URLs:      r.o.URLs,
		Loop:      "closed",
		Rate:      r.o.Rate,
		Clients:   m.connections,
		Seconds:   seconds,
		Sent:      m.count.sent,
		Delivered: m.count.delivered,
		Completed: m.count.completed,
		Lost:      m.count.lost,
		Latency:   quantiles(r.took.sum()),
		Errors:    r.failed.all(),
	}
	if r.o.Rate > 0 {
		p.Loop = "open"
	} else {
		p.InFlight = r.o.InFlight
	}
	units := float64(m.count.delivered)
	switch r.o.Scenario {
	case Connect:
		units = float64(m.connections)
	case Fanout, Rooms, P2P:
		p.Payload = r.o.Payload
	}
	p.PerSecond = ratio(units, seconds)
	process := func(before, after usage) Process {
		cpu := max(0, after.cpu-before.cpu).Seconds()
		return Process{CPU: cpu, Load: ratio(cpu, seconds), RSS: after.rss}
	}
	p.Self = process(m.before.self, m.after.self)
	p.SelfMicros = ratio(p.Self.CPU*1e6, units)
	var cpu float64
	var grown int64
	for i, pid := range r.o.PIDs {
		s := process(m.before.servers[i], m.after.servers[i])
		s.PID, s.RSSBefore = pid, m.quiet[i].rss
		p.Servers = append(p.Servers, s)
		cpu += s.CPU
		grown += s.RSS - s.RSSBefore
	}
	p.ServerMicros = ratio(cpu*1e6, units)
	p.RSSPerClient = ratio(float64(grown), float64(m.connections))
	return p
}

// ratio is 0 where there is none.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Failed reports whether anything went wrong.
func (p *Report) Failed() bool { return len(p.Errors) > 0 || p.Lost > 0 }

// WriteJSON writes the report as one indented JSON object.
func (p *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(p)
}

// WriteTable writes the report for people.
func (p *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row(string(p.Scenario), "%s", p.setting())
	unit := "messages"
	switch p.Scenario {
	case Connect:
		unit = "connections"
	case Idle:
		unit = ""
	}
	if unit != "" {
		row("rate", "%s %s/s", thousands(int64(p.PerSecond+0.5)), unit)
	}
	if p.Sent > 0 {
		row("messages", "%s sent, %s delivered, %s lost", thousands(p.Sent), thousands(p.Delivered), thousands(p.Lost))
	}
	if q := p.Latency; q != nil {
		row("latency, ms", "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", millis(q.P50), millis(q.P90), millis(q.P99), millis(q.P999), millis(q.Max))
	}
	if p.ServerMicros > 0 {
		row("server CPU", "%.2f µs for each of the %s", p.ServerMicros, unit)
	}
	for _, s := range p.Servers {
		row(fmt.Sprintf("server %d", s.PID), "%.2f CPUs, %s in memory (%s before)", s.Load, mebi(s.RSS), mebi(s.RSSBefore))
	}
	if p.Scenario == Idle && len(p.Servers) > 0 {
		row("memory", "%.1f KiB for each client", p.RSSPerClient/1024)
	}
	row("this process", "%.2f CPUs%s", p.Self.Load, p.selfMicros(unit))
	for _, kind := range slices.SortedFunc(maps.Keys(p.Errors), func(a, b string) int {
		if d := p.Errors[b] - p.Errors[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	}) {
		row("ERROR", "%s × %s", thousands(int64(p.Errors[kind])), kind)
	}
	return t.Flush()
}

func (p *Report) setting() string {
	loop := fmt.Sprintf("%s in flight", thousands(int64(p.InFlight)))
	if p.Loop == "open" {
		loop = strconv.FormatFloat(p.Rate, 'f', -1, 64) + " a second"
	}
	s := fmt.Sprintf("%s clients, %s", thousands(int64(p.Clients)), loop)
	if p.Scenario == Idle {
		s = fmt.Sprintf("%s clients", thousands(int64(p.Clients)))
	}
	if p.Payload > 0 {
		s += fmt.Sprintf(", %d bytes each", p.Payload)
	}
	return s + fmt.Sprintf(", measured for %v", (time.Duration(p.Seconds*1000)*time.Millisecond).String())
}

func (p *Report) selfMicros(unit string) string {
	if p.SelfMicros == 0 || unit == "" {
		return ""
	}
	return fmt.Sprintf(", %.2f µs for each of the %s", p.SelfMicros, unit)
}

func millis(ms float64) string { return strconv.FormatFloat(ms, 'f', 2, 64) }

func mebi(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// thousands is n with a comma between its groups of digits.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
