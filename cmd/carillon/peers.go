package main

import (
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/peers"
)

// joinPeers lets any node answer the requests of a client, if that is wanted and
// there can be other nodes.
func joinPeers(opts *engineio.Options, cfg Config, bus *broker.Bus) {
	if cfg.Server.AnyNode && cfg.Broker.Driver != "memory" {
		opts.Peers, opts.UpgradeHold = peers.Over(bus), cfg.Server.UpgradeHold
	}
}
