// Package redis carries a cluster over Redis Streams (Redis 6.2 or later, or
// what speaks its protocol), through Watermill.
//
// # What it guarantees
//
// Every node reads every stream for itself, from the entry that was the last
// when it subscribed: nothing that is published later is missed, and nothing
// is heard twice while the connection stands. After an outage of the network a
// node goes on where it was, as long as Redis has kept the entries: MaxLen of
// each stream. What a Redis loses by being restarted without persistence, or
// with the last second of its log, is lost; the Bus above tells of it.
//
// # What it costs
//
// One connection for each subscribed topic, of which a Bus has two, and up to
// sixteen for publishing, opened as needed. A publish is one round trip. Redis
// keeps about MaxLen envelopes of up to 256 KiB for each topic, usually far
// smaller ones. A stream is deleted five minutes after its last use, so those
// of nodes that are gone do not pile up.
//
// go-redis writes a line to the standard error for every connection that it
// cannot make. What it says is in our log too; logging.Disable of its package
// logging silences it, for the whole process, which is the application's to
// decide.
//
// # Settings of Redis that matter
//
//   - maxmemory-policy: noeviction, or volatile policies with care, as all
//     our keys expire. A stream that is evicted is a gap for all its readers.
//   - appendonly and save may be off: nothing here outlives the connections.
//   - timeout: 0, or more than a few seconds.
//   - An ACL user needs +ping +xadd +xread +xinfo|stream +expire on ~CLUSTER.*
//     where CLUSTER is the name of the cluster.
package redis
