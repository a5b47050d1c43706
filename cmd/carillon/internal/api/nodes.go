package api

import (
	"cmp"
	"slices"
	"time"
)

type node struct {
	Name        string      `json:"name"`
	ID          string      `json:"id"` // new with every start; ids of the node's sockets begin with it
	Version     string      `json:"version"`
	Started     time.Time   `json:"started"`
	Connections connections `json:"connections"`
	Sockets     int         `json:"sockets"` // in the namespace "/"
	Broker      string      `json:"broker"`  // "connecting", "up", "down", "degraded" or "closed"
	Draining    bool        `json:"draining"`
}

type connections struct {
	Total     int `json:"total"`
	WebSocket int `json:"websocket"`
	Polling   int `json:"polling"`
}

type nodeList struct {
	Nodes   []node    `json:"nodes"` // by name
	Missing []Missing `json:"missing"`
}

// getNodes tells how the nodes of the cluster are.
func (a *API) getNodes(r *request) (any, error) {
	if err := r.query.done(); err != nil {
		return nil, err
	}
	nodes, missing, err := gather(a, r, question{Ask: "node"}, a.localNode)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(n, o node) int { return cmp.Compare(n.Name, o.Name) })
	return nodeList{Nodes: nodes, Missing: append([]Missing{}, missing...)}, nil
}

func (a *API) localNode() node {
	s := a.opts.Server
	total, polling := s.Sessions(), s.PollingSessions()
	self := a.opts.Bus.Self()
	return node{
		Name:    self.Name,
		ID:      self.ID.Short(),
		Version: a.opts.Version,
		Started: a.started.UTC(),
		Connections: connections{
			Total:     total,
			WebSocket: max(0, total-polling), // counted one after the other
			Polling:   polling,
		},
		Sockets:  s.Of("/").Len(),
		Broker:   a.opts.Bus.State().String(),
		Draining: a.opts.Draining(),
	}
}
