package broker

import (
	"context"
	"fmt"
)

// An Inspector is a driver that can tell whether its broker is fit for a
// cluster, and what to change if not: more than one learns from what fails.
type Inspector interface {
	// Examine looks at the broker as a node of this cluster meets it: its
	// version, what this user may do, the settings that matter. What it has to
	// try, it tries under names that begin with cluster and ".doctor", which no
	// node uses, and it leaves nothing behind that does not expire by itself.
	// It takes a second or so, and returns soon after ctx is done. A broker
	// that fails is a Finding too. It may be called while the driver is in use.
	Examine(ctx context.Context, cluster string) []Finding
}

// A Finding is the outcome of one check.
type Finding struct {
	Check   string  `json:"check"` // what was looked at, in a word or two: "memory"
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`             // what was found, as a sentence without its full stop
	Advice  string  `json:"advice,omitempty"` // what to change, likewise; for Doubtful and Failed
}

// A Verdict says how bad a Finding is.
type Verdict int

// The verdicts.
const (
	Fine     Verdict = iota // as it should be
	Unknown                 // not looked at: this user may not, or what comes before failed
	Doubtful                // a node works, but worse than it could, or not for ever
	Failed                  // a node does not work like this
)

var verdictNames = [...]string{Fine: "ok", Unknown: "skip", Doubtful: "warn", Failed: "fail"}

func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return verdictNames[v]
}

// MarshalText is String, for JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }
