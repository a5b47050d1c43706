// Package kafka carries a cluster over one topic of Kafka (2.8 or later, or
// what speaks its protocol), through Watermill.
//
// # What it guarantees
//
// All topics of the Bus are one topic of Kafka: the topic of the Bus is the
// key of a record, and the key decides on the partition. So each of them keeps
// its order, and no node leaves anything behind in Kafka: neither a topic nor
// a consumer group. Several clusters may share the topic, as their names begin
// the keys.
//
// Every node reads all partitions, from the end that they had when it
// subscribed: nothing that is published later is missed, and nothing is heard
// twice while the connection stands. A record counts as published when all
// replicas that are in sync have it. After an outage a node goes on where it
// was, as long as Kafka has kept the records: Retention. A topic that somebody
// deletes is created again, as it would be at the start, and read from its
// beginning. What Kafka loses is repaired by the Bus above, or told. A right that
// is missing is told with its name, and needs no restart once it is granted.
//
// Partitions may be added. They are read within ten seconds, and written to
// half a minute later; at that moment the order of a topic of the Bus may break, which
// the Bus mends.
//
// # What it costs
//
// A bootstrap connection and one to each broker for reading, and as many for
// publishing. A publish is one round trip and one record. Every node is sent
// everything that any node publishes, also what is for one other node alone,
// and skips that by its key: with many nodes that talk to each other in pairs,
// Redis or RabbitMQ do less. Kafka keeps the records of Retention, and up to
// half of that more.
//
// # Settings of Kafka that matter
//
//   - The topic is created, if it is absent, with Partitions, Replication and
//     Retention, with segments that are short enough to expire, timestamps of
//     the brokers, and max.message.bytes of 5 MiB. One that exists is left as
//     it is: give it the same. cleanup.policy has to be delete, as compaction
//     would keep the last record of every node for ever.
//   - max.message.bytes of a topic made by hand: its default of 1 MiB is enough
//     for a Bus, which splits what is larger than its envelopes. What a topic
//     does not take is refused with broker.ErrTooLarge.
//   - min.insync.replicas: with 3 replicas, 2 survive the loss of a broker.
//   - Disk: a broker whose disk is full stops, which is an outage as any other
//     unless there are replicas elsewhere. What the topic takes is what is
//     published within one and a half times Retention, on each replica.
//   - A user needs Read, Write and Describe on the topic, and Create on it, or
//     on the cluster, if it is absent. No right on any group is needed.
//   - SASL PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are supported, and TLS with
//     or without a certificate of the client. OAUTHBEARER and Kerberos are not.
package kafka
