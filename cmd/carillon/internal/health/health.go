// Package health tells orchestrators and balancers how a node is, by HTTP:
// /healthz whether the process is alive, and /readyz whether it should be sent
// clients, with the reasons in JSON.
package health

import (
	"encoding/json"
	"net/http"
)

// A Check tells one thing that a node needs in order to serve.
type Check struct {
	Name string

	// Reason says why it is not so, and is empty if it is. It must not block.
	Reason func() string

	// Note says what is amiss here, but no better elsewhere, so that it is no
	// reason to send clients there. It must not block. Default: nil, for nothing.
	Note func() string
}

// Checks are all that a node needs. The zero value needs nothing.
type Checks []Check

// A Finding is what one Check says.
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// Report is the answer of /readyz.
type Report struct {
	Ready  bool      `json:"ready"`
	Checks []Finding `json:"checks"`
}

// Report makes all checks.
func (cs Checks) Report() Report {
	r := Report{Ready: true, Checks: []Finding{}}
	for _, c := range cs {
		reason := c.Reason()
		ok := reason == ""
		if ok && c.Note != nil {
			reason = c.Note()
		}
		r.Checks = append(r.Checks, Finding{c.Name, ok, reason})
		r.Ready = r.Ready && ok
	}
	return r
}

// Live answers /healthz: the process answers, so it is alive. A broker that is
// away is no reason to end it.
func Live(w http.ResponseWriter, r *http.Request) {
	serve(w, r, http.StatusOK, struct {
		Alive bool `json:"alive"`
	}{true})
}

// ServeHTTP answers /readyz: 200, or 503 if anything is amiss.
func (cs Checks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	report := cs.Report()
	status := http.StatusOK
	if !report.Ready {
		status = http.StatusServiceUnavailable
	}
	serve(w, r, status, report)
}

func serve(w http.ResponseWriter, r *http.Request, status int, v any) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went is no concern of ours
}
