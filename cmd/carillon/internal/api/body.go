package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carillonhq/carillon/transport/socketio"
)

const (
	maxName  = 128  // characters of the name of a user, room or event
	maxNames = 1000 // users, rooms or sockets in one request
	maxArgs  = 100  // arguments of one event
)

// A body is the JSON object that a request carries. Its methods take a field
// out each, and note what is wrong with it; what nobody took is unknown, and
// refused. encoding/json alone would take null for anything, and names in any
// spelling.
type body struct {
	fields map[string]json.RawMessage
	taken  []string // the names that are known
	faults []Fault
}

func parseBody(content []byte) (body, error) {
	var b body
	if !json.Valid(content) {
		return b, problemf(malformed, "the body is not JSON%s", where(content))
	}
	if !bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte("{")) {
		return b, faulty(Fault{Detail: "the body has to be an object"})
	}
	if err := json.Unmarshal(content, &b.fields); err != nil {
		return b, problemf(malformed, "the body cannot be read")
	}
	return b, nil
}

// where says at which byte content stops to be JSON.
func where(content []byte) string {
	var v json.RawMessage
	err := json.Unmarshal(content, &v)
	if syntax, ok := err.(*json.SyntaxError); ok { // never wrapped
		return fmt.Sprintf(" at byte %d: %v", syntax.Offset, syntax)
	}
	return ""
}

// done returns what is wrong with the body, once all known fields were taken.
func (b *body) done() error {
	for _, name := range slices.Sorted(maps.Keys(b.fields)) {
		b.fault([]string{name}, "unknown field, expected some of %s", strings.Join(b.taken, ", "))
	}
	if len(b.faults) > 0 {
		return faulty(b.faults...)
	}
	return nil
}

func (b *body) fault(path []string, format string, args ...any) {
	var pointer strings.Builder
	for _, step := range path {
		pointer.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
	}
	b.faults = append(b.faults, Fault{Pointer: pointer.String(), Detail: fmt.Sprintf(format, args...)})
}

func (b *body) take(name string) (json.RawMessage, bool) {
	b.taken = append(b.taken, name)
	raw, ok := b.fields[name]
	delete(b.fields, name)
	return raw, ok
}

// decode reads one value of type T; what it is called in words is told
// otherwise.
func decode[T any](b *body, path []string, raw json.RawMessage, what string) (v T, ok bool) {
	if string(raw) == "null" || json.Unmarshal(raw, &v) != nil {
		b.fault(path, "expected %s", what)
		return v, false
	}
	return v, true
}

// flag is a truth value, false unless given.
func (b *body) flag(name string) bool {
	raw, ok := b.take(name)
	if !ok {
		return false
	}
	v, _ := decode[bool](b, []string{name}, raw, "true or false")
	return v
}

// text is a text, empty unless given, that check accepts.
func (b *body) text(name string, required bool, check func(string) string) string {
	raw, ok := b.take(name)
	if !ok {
		if required {
			b.fault([]string{name}, "it is missing")
		}
		return ""
	}
	v, ok := decode[string](b, []string{name}, raw, "a text")
	if !ok {
		return ""
	}
	if what := check(v); what != "" {
		b.fault([]string{name}, "%s", what)
	}
	return v
}

// names is a list of names, without repetitions. A list that is required must
// have one.
func (b *body) names(name string, required bool) []string {
	raw, ok := b.take(name)
	if !ok {
		if required {
			b.fault([]string{name}, "it is missing")
		}
		return nil
	}
	list, ok := decode[[]json.RawMessage](b, []string{name}, raw, "a list of texts")
	if !ok {
		return nil
	}
	if required && len(list) == 0 {
		b.fault([]string{name}, "expected one or more")
	}
	if len(list) > maxNames {
		b.fault([]string{name}, "expected at most %d, got %d", maxNames, len(list))
		return nil
	}
	all := make([]string, 0, len(list))
	for i, item := range list {
		path := []string{name, strconv.Itoa(i)}
		v, ok := decode[string](b, path, item, "a text")
		if !ok {
			continue
		}
		if what := checkName(v); what != "" {
			b.fault(path, "%s", what)
			continue
		}
		all = append(all, v)
	}
	return unique(all)
}

// unique drops what came before, and keeps the order.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(s string) bool {
		before := seen[s]
		seen[s] = true
		return before
	})
}

// value is any JSON value.
func (b *body) value(name string) socketio.Raw {
	raw, ok := b.take(name)
	if !ok {
		b.fault([]string{name}, "it is missing; it may be null")
		return socketio.Raw{}
	}
	v, err := socketio.RawJSON(raw)
	if err != nil {
		b.fault([]string{name}, "expected JSON")
	}
	return v
}

// values is a list of any JSON values, empty unless given.
func (b *body) values(name string) []any {
	raw, ok := b.take(name)
	if !ok {
		return nil
	}
	list, ok := decode[[]json.RawMessage](b, []string{name}, raw, "a list")
	if !ok {
		return nil
	}
	if len(list) > maxArgs {
		b.fault([]string{name}, "expected at most %d, got %d", maxArgs, len(list))
		return nil
	}
	all := make([]any, len(list))
	for i, item := range list {
		v, err := socketio.RawJSON(item)
		if err != nil {
			b.fault([]string{name, strconv.Itoa(i)}, "expected JSON")
		}
		all[i] = v
	}
	return all
}

// checkName says what is wrong with the name of a user, a room, a socket or an
// event.
func checkName(name string) string {
	switch {
	case name == "":
		return "expected a name, got an empty text"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("expected at most %d characters, got %d", maxName, utf8.RuneCountInString(name))
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it holds characters that can't be printed"
	}
	return ""
}

// checkOptionalName is checkName where none may be given.
func checkOptionalName(name string) string {
	if name == "" {
		return ""
	}
	return checkName(name)
}

// reserved are the events that Socket.IO keeps for itself.
var reserved = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

func checkEvent(name string) string {
	if slices.Contains(reserved, name) {
		return "Socket.IO keeps this event for itself"
	}
	return checkName(name)
}

func checkNamespace(name string) string {
	if !strings.HasPrefix(name, "/") {
		return `expected a name that begins with "/"`
	}
	return checkName(name)
}
