package socketio_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// differences are the exchanges in which Node's server and ours are known to
// differ. The file is paragraphs: lines of reason behind "#", then blocks of
// "case NAME", the first lines that differ behind "node" and "ours". A case
// whose lines do not differ so is an error, so that the list can't go stale.
type differences struct {
	known map[string][2]string
}

func readDifferences(t *testing.T) *differences {
	text, err := os.ReadFile(filepath.Join(interopDir(t), "differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	d := &differences{known: make(map[string][2]string)}
	name := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		kind, rest, _ := strings.Cut(line, " ")
		lines := d.known[name]
		switch kind {
		case "case":
			name = rest
			lines = [2]string{}
		case "node":
			lines[0] = rest
		case "ours":
			lines[1] = rest
		default:
			continue
		}
		d.known[name] = lines
	}
	return d
}

// check compares the transcripts of an exchange and says what is wrong.
func (d *differences) check(name string, node, ours []string) string {
	i := 0
	for i < len(node) && i < len(ours) && node[i] == ours[i] {
		i++
	}
	line := func(log []string) string {
		if i == len(log) {
			return "(nothing)"
		}
		return strings.TrimSpace(log[i])
	}
	want, known := d.known[name]
	same := i == len(node) && i == len(ours)
	switch {
	case same && known:
		return "not different any more: take it off the list"
	case !same && [2]string{line(node), line(ours)} != want:
		return fmt.Sprintf("case %s\nnode %s\nours %s\n\nbehind:\n%s\nNode's:\n%s\nours:\n%s", name, line(node), line(ours),
			strings.Join(node[:i], "\n"), strings.Join(node[i:], "\n"), strings.Join(ours[i:], "\n"))
	}
	return ""
}
