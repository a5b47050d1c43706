package adapter

import (
	"errors"
	"strings"
)

// ErrClosed is what a closed Adapter answers.
var ErrClosed = errors.New("adapter: closed")

// errMalformed marks bytes from another node that are no message of ours.
var errMalformed = errors.New("adapter: malformed message")

// A PartialError says which nodes' answers are missing from a result that
// holds those of all others.
type PartialError struct {
	Missing []Missing
}

// Missing is a node whose answer did not come, and why.
type Missing struct {
	Node string // its name
	Err  error  // broker.ErrTimeout, broker.ErrNodeDown or *broker.RefusedError
}

// Error names every missing node with its reason.
func (e *PartialError) Error() string {
	var b strings.Builder
	b.WriteString("adapter: partial result")
	sep := ": "
	for _, m := range e.Missing {
		b.WriteString(sep + m.Node + ": " + m.Err.Error())
		sep = "; "
	}
	return b.String()
}

// Unwrap returns the reasons.
func (e *PartialError) Unwrap() []error {
	errs := make([]error, len(e.Missing))
	for i, m := range e.Missing {
		errs[i] = m.Err
	}
	return errs
}
