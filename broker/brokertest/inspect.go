package brokertest

import (
	"context"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/broker"
)

// Findings are what a driver found of its broker, by check.
type Findings map[string]broker.Finding

// Examine has d look at its broker, for a cluster of this name, and closes d.
// What is found has to keep to the contract of a Finding.
func Examine(t *testing.T, d broker.Driver, cluster string) Findings {
	t.Helper()
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	found := Findings{}
	for _, f := range d.(broker.Inspector).Examine(ctx, cluster) {
		if _, twice := found[f.Check]; twice {
			t.Errorf("%s was found twice", f.Check)
		}
		// The errors of drivers say themselves what to change.
		if f.Verdict > broker.Unknown && f.Advice == "" && !strings.Contains(f.Text, ":") {
			t.Errorf("%s: %q, without advice", f.Check, f.Text)
		}
		found[f.Check] = f
	}
	return found
}

// Want fails unless the check has this verdict, with these words about it.
func (found Findings) Want(t *testing.T, check string, want broker.Verdict, words string) {
	t.Helper()
	f := found[check]
	if f.Verdict != want || !strings.Contains(f.Text+"; "+f.Advice, words) {
		t.Errorf("%s: got %v, %q, %q; want %v with %q", check, f.Verdict, f.Text, f.Advice, want, words)
	}
}

// WantFine fails unless there are so many checks, and all are fine.
func (found Findings) WantFine(t *testing.T, checks int) {
	t.Helper()
	for check, f := range found {
		if f.Verdict != broker.Fine {
			t.Errorf("%s: got %v, %q, %q, want it fine", check, f.Verdict, f.Text, f.Advice)
		}
	}
	if len(found) != checks {
		t.Errorf("got %d checks, want %d: %v", len(found), checks, found)
	}
}
