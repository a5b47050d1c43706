// Package rabbitmq carries a cluster over RabbitMQ (3.8 or later, or what
// speaks AMQP 0.9.1 with its extensions), through Watermill.
//
// # What it guarantees
//
// Every subscription has a queue of its own, bound by its topic to the
// exchange amq.direct before Subscribe returns. The queue is durable and
// outlives its node's connection by a minute: what is published while the
// node reconnects waits in it, and after a restart of RabbitMQ the queues are
// there before anybody can publish (but perhaps not one that was declared in
// the last seconds before a crash, of which RabbitMQ may not have written). With
// queues that are exclusive and deleted automatically, 644 of 2244 messages were
// confirmed and lost when RabbitMQ was killed while 500 a second were published,
// since the subscriber came back after the publisher; with durable ones, none.
//
// Publish returns when RabbitMQ confirms the message. What comes back after an
// outage may be heard twice. What is in a queue when RabbitMQ itself dies is
// lost, as messages are not persistent (a publish would take ten times as
// long), and so is the oldest beyond MaxBytes in the queue of a node that
// falls behind; the Bus above tells of it.
//
// A connection that is lost, or whose channel RabbitMQ closes, or whose queue
// was deleted, is made again by the policy, with all that belongs to it. What
// was in a queue that somebody deleted is lost, as above. A permission that is
// missing is told with what it is about, and needs no restart once it is
// granted.
//
// # What it costs
//
// One connection for publishing, with up to 16 channels, and one for each
// subscribed topic, of which a Bus has two; one queue and one binding for each
// subscription, and no exchange. A publish is one round trip. A queue is
// deleted when its subscription is closed, and expires after a minute if its
// node died.
//
// # Settings of RabbitMQ that matter
//
//   - Permissions of the user, where CLUSTER is the name of the cluster:
//     configure ^CLUSTER\., write and read ^(CLUSTER\.|amq\.direct$).
//   - vm_memory_high_watermark and disk_free_limit: beyond them RabbitMQ
//     accepts no messages, and tells us (connection.blocked). The driver says
//     which of the two it is and fails each publish until RabbitMQ accepts
//     messages again.
//   - max_message_size: 128 MiB by default, 16 MiB since RabbitMQ 4.0. A Bus
//     sends at most 256 KiB at a time and makes do with less, down to 64 KiB;
//     what RabbitMQ refuses is broker.ErrTooLarge.
//   - Policies that match the queues and set expires, max-length or
//     message-ttl to less than is said here make messages go missing earlier.
//   - heartbeat: 4 seconds, or what the server wants if that is less, or what
//     the URL says (?heartbeat=10). A RabbitMQ that is silent for one and a
//     half times as long is given up.
//   - In a cluster of RabbitMQ's nodes a queue lives on the node that it was
//     declared on. While that node is down its subscription uses a new queue
//     elsewhere.
package rabbitmq
