package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/carillonhq/carillon/broker"
)

// A report is what doctor found, for machines as it stands.
type report struct {
	Broker    string           `json:"broker"`
	Cluster   string           `json:"cluster"`
	Checks    []broker.Finding `json:"checks"`
	RoundTrip *roundTrip       `json:"round_trip,omitempty"`
	Nodes     []string         `json:"nodes,omitempty"` // IDs of those that are there, as in their logs
	Problems  int              `json:"problems"`
	Warnings  int              `json:"warnings"`

	out io.Writer // unless nil, each finding is told at once, for a person
}

func (r *report) add(f broker.Finding) {
	r.Checks = append(r.Checks, f)
	switch f.Verdict {
	case broker.Failed:
		r.Problems++
	case broker.Doubtful:
		r.Warnings++
	}
	if r.out == nil {
		return
	}
	word := f.Verdict.String()
	if f.Verdict == broker.Failed {
		word = strings.ToUpper(word)
	}
	text := f.Text + "."
	if f.Advice != "" {
		text += " " + strings.ToUpper(f.Advice[:1]) + f.Advice[1:] + "."
	}
	lines := folded(text, textWidth)
	fmt.Fprintf(r.out, "%-4s  %-11s  %s\n", word, f.Check, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(r.out, "%19s%s\n", "", line)
	}
}

// textWidth is of the sentences, so that lines have at most 99 columns.
const textWidth = 80

// folded is text in lines that are no wider than width, if its words allow.
func folded(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

func (r *report) summary() error {
	text := "All is well."
	switch {
	case r.Problems > 0:
		text = counted(r.Problems, "problem") + ", " + counted(r.Warnings, "warning") + ": it does not work like this."
	case r.Warnings > 0:
		text = counted(r.Warnings, "warning") + ": it works, but read on what could go wrong."
	}
	_, err := fmt.Fprintf(r.out, "\n%s\n", text)
	return err
}

func (r *report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
