package adapter

import (
	"errors"
	"strconv"
	"strings"
)

var (
	// ErrClosed is what a closed Adapter answers.
	ErrClosed = errors.New("adapter: closed")

	// ErrSilent stands in a Missing for sockets, or a node, that were asked and
	// did not answer; it is wrapped together with the reason why the wait ended.
	ErrSilent = errors.New("adapter: no answer")

	// ErrGone stands in a Missing for sockets that were asked and went before
	// they answered.
	ErrGone = errors.New("adapter: gone before it answered")

	// ErrNotKept says that no node keeps a record of that key.
	ErrNotKept = errors.New("adapter: no record is kept")
)

// errMalformed marks bytes from another node that are no message of ours.
var errMalformed = errors.New("adapter: malformed message")

// A PartialError says which answers, of nodes or of their sockets, are missing
// from a result that holds those of all others.
type PartialError struct {
	Missing []Missing
}

// Missing is what did not come from one node, and why.
type Missing struct {
	Node string // its name; empty without a cluster

	// Sockets is, for Ask, how many of the node's sockets owe an answer. It
	// is 0 if the node itself did not answer: nobody knows then.
	Sockets int

	// Err is broker.ErrTimeout, broker.ErrNodeDown or a *broker.RefusedError,
	// or why the node could not be asked, such as broker.ErrOverflow. Of
	// sockets alone it is ErrSilent or ErrGone, and ErrSilent of a node that
	// AskNodes asked.
	Err error
}

// Error names every node of which something is missing, with the reason.
func (e *PartialError) Error() string {
	var b strings.Builder
	b.WriteString("adapter: partial result")
	sep := ": "
	for _, m := range e.Missing {
		b.WriteString(sep)
		sep = "; "
		if m.Node != "" {
			b.WriteString(m.Node + ": ")
		}
		if m.Sockets > 0 {
			b.WriteString(strconv.Itoa(m.Sockets) + " sockets: ")
		}
		b.WriteString(m.Err.Error())
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
