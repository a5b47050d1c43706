package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// channel is the API's name on the bus.
const channel = "api"

// Missing is a node whose part of an answer is not there.
type Missing struct {
	Node   string `json:"node"`
	Reason string `json:"reason"` // "timeout", "down", "refused" or "unreachable": see reasonOf
}

// A question is what the APIs of the nodes ask each other.
type question struct {
	Ask       string   `json:"ask"` // "sockets", "rooms" or "node"
	Namespace string   `json:"namespace,omitempty"`
	Rooms     []string `json:"rooms,omitempty"` // all of them
	Prefix    string   `json:"prefix,omitempty"`
	After     string   `json:"after,omitempty"` // only what comes behind it, in order,
	Limit     int      `json:"limit,omitempty"` // and only the first of that
}

// respond answers another node's question. It waits for nothing.
func (a *API) respond(m broker.Message) ([]byte, error) {
	var q question
	if err := json.Unmarshal(m.Body, &q); err != nil {
		return nil, fmt.Errorf("api: question: %w", err)
	}
	switch q.Ask {
	case "sockets":
		return json.Marshal(a.localSockets(q))
	case "rooms":
		return json.Marshal(a.localRooms(q))
	case "node":
		return json.Marshal(a.localNode())
	}
	return nil, fmt.Errorf("api: unknown question %.20q", q.Ask)
}

// gather returns what this node and the others answer, and who does not.
func gather[T any](a *API, r *request, q question, local func() T) ([]T, []Missing, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return nil, nil, fmt.Errorf("api: question: %w", err)
	}
	g, err := a.opts.Bus.Request(channel, text)
	if err != nil {
		return nil, nil, sendProblem(err)
	}
	all := []T{local()}
	ctx, cancel := a.wait(r)
	defer cancel()
	var missing []Missing
	for _, answer := range g.Wait(ctx) {
		var theirs T
		err := answer.Err
		if err == nil {
			err = json.Unmarshal(answer.Body, &theirs)
		}
		if err != nil {
			missing = append(missing, Missing{answer.From.Name, a.reasonOf(err)})
			continue
		}
		all = append(all, theirs)
	}
	return all, missing, nil
}

// reasonOf says in a word why a node's answer is missing.
func (a *API) reasonOf(err error) string {
	switch {
	case errors.Is(err, broker.ErrNodeDown):
		return "down" // it left, or fell silent
	case !errors.Is(err, broker.ErrTimeout):
		return "refused" // it has no API, or another version of it
	case a.opts.Bus.State() != broker.Up:
		return "unreachable" // this node has lost the broker
	}
	return "timeout"
}

// missing returns the nodes that a result of the adapter lacks, or err as a
// Problem if it says something else.
func (a *API) missing(err error) ([]Missing, error) {
	if err == nil {
		return nil, nil
	}
	partial, ok := errors.AsType[*adapter.PartialError](err)
	if !ok {
		return nil, sendProblem(err)
	}
	var all []Missing
	for _, m := range partial.Missing {
		all = append(all, Missing{m.Node, a.reasonOf(m.Err)})
	}
	return all, nil
}

// sendProblem is the Problem of what could not be told to other nodes.
func sendProblem(err error) error {
	switch {
	case errors.Is(err, broker.ErrOverflow):
		return problemf(unavailable, "only this node's sockets were reached: too much waits for the broker")
	case errors.Is(err, broker.ErrTooLarge):
		return problemf(tooLarge, "only this node's sockets were reached: nodes cannot pass on so much at once")
	case errors.Is(err, broker.ErrClosed), errors.Is(err, adapter.ErrClosed), errors.Is(err, context.Canceled):
		return problemf(unavailable, "this node is stopping")
	}
	return err
}

// merge names each node once.
func merge(missing []Missing) []Missing {
	slices.SortStableFunc(missing, func(m, o Missing) int { return cmp.Compare(m.Node, o.Node) })
	return slices.CompactFunc(missing, func(m, o Missing) bool { return m.Node == o.Node })
}
