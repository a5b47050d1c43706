package api

import (
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// A query is the parameters of a GET. Its methods take one each, as those of
// body do.
type query struct {
	values url.Values
	faults []Fault
}

func readQuery(raw string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, problemf(malformed, "the query cannot be read: %v", err)
	}
	return query{values: values}, nil
}

func (q *query) fault(name, what string) {
	q.faults = append(q.faults, Fault{Parameter: name, Detail: what})
}

func (q *query) take(name string) (string, bool) {
	all, ok := q.values[name]
	delete(q.values, name)
	if len(all) > 1 {
		q.fault(name, "it is given twice")
	}
	if !ok {
		return "", false
	}
	return all[0], true
}

// name is a name that check accepts, or initial.
func (q *query) name(name, initial string, check func(string) string) string {
	v, ok := q.take(name)
	if !ok {
		return initial
	}
	if what := check(v); what != "" {
		q.fault(name, what)
	}
	return v
}

// limit is how many items a page may have.
func (q *query) limit() int {
	v, ok := q.take("limit")
	if !ok {
		return defaultLimit
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLimit {
		q.fault("limit", "expected a number from 1 to "+strconv.Itoa(maxLimit))
	}
	return n
}

// cursor is what next was given for the page before, or empty.
func (q *query) cursor() string {
	v, ok := q.take("cursor")
	if !ok {
		return ""
	}
	last, err := hex.DecodeString(v)
	if err != nil || len(last) == 0 {
		q.noCursor()
	}
	return string(last)
}

// noCursor refuses the cursor.
func (q *query) noCursor() { q.fault("cursor", `expected what "next" of the page before says`) }

// done returns what is wrong with the query, once all that is known was taken.
func (q *query) done() error {
	var unknown []string
	for name := range q.values {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		q.fault(name, "unknown parameter")
	}
	if len(q.faults) > 0 {
		return faulty(q.faults...)
	}
	return nil
}

// next is the cursor behind a page whose last item it is, or that says so.
func next(last string) string { return hex.EncodeToString([]byte(last)) }
