// Package broker joins the nodes of a cluster over a message broker.
//
// A [Driver] carries bytes to topics; there is one package for each broker. A
// [Bus] makes of that what the nodes of a cluster need to talk to each other.
// The bus is the concrete type above the port, so all that is said here holds
// with every driver:
//
//	bus, err := broker.Open(ctx, hub.Open, broker.Options{Node: "berlin-1"})
//	bus.Handle("chat", func(m broker.Message) { fmt.Printf("%s: %s\n", m.From.Name, m.Body) })
//	bus.Broadcast("chat", []byte("hello")) // every other node hears it
//
// # Order
//
// What one node says is handed over in the order in which it was said: all
// channels, Broadcast, Send and Request together. Two calls are in order if one
// returned before the other began. There is no order between nodes.
// No message is handed over twice, whatever the broker repeats.
//
// # Loss
//
// A message is handed over at most once. While the broker is away messages
// wait at their sender, up to Options.Buffer, and flow when it is back; beyond
// that they are refused with [ErrOverflow]. What the broker itself loses is
// noticed by the numbers of the messages: the receivers are told with a [Gap],
// in the place of what is missing, at the latest with the next beat. A message
// that overtakes an earlier one on another topic is held. If what is missing
// has not come after 40 ms its sender is asked, and once it is clear that it
// had left and was lost, or after five heartbeats, what follows is handed over.
// The last words of a node that crashed may be lost without a Gap; NodeDown
// says so. There is no repair: who needs it reads the state anew on a Gap.
//
// # Members
//
// Nodes find each other by themselves. Once a watcher was told [NodeUp], all
// that is sent to that node reaches it. A node that closes its bus is down at
// once, one that falls silent after five heartbeats, and one that starts again
// under its old name takes its own place. A node hears its own beats too: if
// they stay away it knows that it is the one who is cut off. It is then
// [Frozen], and declares nobody down.
//
// # Starting and losing the broker
//
// Open does not wait for a broker that is not there. The node works by itself
// and joins when the broker appears. [Bus.State] and the event [StateChanged]
// tell where it stands, the logger what happens:
// "connected to the broker", "lost the broker", "reconnecting" and "broker is
// back".
//
// # Who holds up whom
//
// Broadcast, Send and Request never wait. A handler holds up only what its
// sender says next; when 16 MiB wait behind it, the node stops reading from
// the broker, until it has caught up.
//
// # Trust
//
// Whoever can publish to the topics of the broker can speak for any node.
// Bytes that are not well-formed are dropped and counted, and do no harm; but
// keep the broker to yourself.
package broker
