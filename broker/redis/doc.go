// Package redis carries a cluster over Redis Streams (Redis 6.2 or later, or
// what speaks its protocol), through Watermill: over one Redis, over a primary
// with replicas that Sentinels watch, or over a Redis Cluster. Config.Mode says
// which.
//
// # What it guarantees
//
// Every node reads every stream for itself, from the entry that was the last
// when it subscribed: nothing that is published later is missed, and nothing
// is heard twice while the connection stands. After an outage of the network a
// node goes on where it was, as long as Redis has kept the entries: MaxLen of
// each stream. What a Redis loses by being restarted without persistence, or
// with the last second of its log, is lost, and so is what a primary had not
// passed on to the replica that takes its place. The same goes for a stream
// that somebody deletes. The Bus above repairs it, or tells of it.
//
// Nothing has to be restarted after a failover. Each attempt to reconnect asks
// the Sentinels who is the primary; in a Redis Cluster redirections are
// followed, and after every other failure its nodes are asked anew who has
// which slots. Until a replica is promoted, which takes the time that Redis is
// set to (down-after-milliseconds, cluster-node-timeout) and some seconds,
// publishes fail and the Bus keeps what is said.
//
// A topic is one stream, and so one key: in a Redis Cluster the topics are
// spread over the primaries, and no command touches two of them. Reads are of
// primaries alone, as a replica may be behind.
//
// # What it costs
//
// One connection for each subscribed topic, of which a Bus has two, and up to
// sixteen for publishing, opened as needed, in a Redis Cluster to each primary.
// Sentinels have six connections from every node. A publish is one round trip.
// Redis keeps about MaxLen envelopes of up to 256 KiB for each topic, usually far
// smaller ones. A stream is deleted five minutes after its last use, so those of
// nodes that are gone do not pile up.
//
// All that is said to all nodes is one stream: a Redis Cluster spreads what is
// said to single nodes, and several clusters of nodes, but makes one cluster
// that mostly broadcasts no faster than one Redis does.
//
// There is no limit to state for a message: Redis takes 512 MiB
// (proto-max-bulk-len, which cannot be set below 1 MiB), and a Bus sends at most
// 256 KiB at a time.
//
// go-redis writes a line to the standard error for every connection that it
// cannot make. What it says is in our log too; LogTo sends it elsewhere.
//
// # Settings of Redis that matter
//
//   - maxmemory-policy: noeviction, or volatile policies with care, as all
//     our keys expire. A stream that is evicted is a gap for all its readers.
//     With noeviction, a Redis that is full refuses messages; they wait in the
//     nodes then, and the log says that maxmemory is to be raised.
//   - appendonly and save may be off: nothing here outlives the connections.
//   - timeout: 0, or more than a few seconds.
//   - min-replicas-to-write and min-replicas-max-lag, with Sentinels or in a
//     Redis Cluster: without them a primary that is cut off from the others
//     goes on taking messages that are lost when it comes back.
//   - An ACL user needs +ping +xadd +xread +xinfo|stream +expire on ~CLUSTER.*
//     where CLUSTER is the name of the cluster, and +cluster|slots in a Redis
//     Cluster. Without +expire the streams of nodes that are gone stay, of which
//     the log warns. Sentinels may want a user of their own, who needs +ping
//     +sentinel|get-master-addr-by-name +sentinel|sentinels +subscribe and &*.
//   - The addresses that Sentinels and the nodes of a Redis Cluster announce
//     have to be reachable from here (announce-ip, cluster-announce-ip), and
//     with TLS stand in the certificates.
package redis
