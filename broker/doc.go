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
// # Loss and repair
//
// While the broker is away messages wait at their sender, up to Options.Buffer,
// and flow when it is back; beyond that they are refused with [ErrOverflow].
// What the broker loses is noticed by the numbers of the messages, at the
// latest with the next beat, and asked for again: a node keeps what it said, in
// what room of that buffer nothing waits, for 30 s. Until it has come, what its
// sender said later is held, so repair costs time and not order. Nor does it
// cost the others much: it takes a quarter of what a node has sent to the broker,
// or 4 MiB/s where that is more.
//
// What is kept no more is told: the receivers get a [Gap], in the place of what
// is missing, with its numbers. So everything that was accepted is handed
// over, or stands under a Gap, at every node that was told of with NodeUp. Three
// things only are said less exactly. The last words of a node that crashed may
// be missing without a Gap; NodeDown says so, and a Gap before it covers what
// was known to be missing. A node that leaves does not wait for repairs, so
// there may be a Gap before its NodeDown. And one that beats, but does not
// answer a request for repair for fifteen heartbeats, is not waited for.
//
// A message that overtakes an earlier one on another topic is held too. After
// 40 ms the earlier one is taken for lost and asked for, or at once when the
// topics' order proves that it was.
//
// A handler is called at most once for each message. If it fails nobody sends
// the message again.
//
// # Long messages, and compression
//
// A body of up to [MaxBody] travels in parts of 64 KB, or less if the driver
// states a low limit (see [Limited]), which wait in line like any message and do
// not block others' nodes. It is handed over whole, or is missing as a whole. An
// envelope with 1 KB of messages or more is compressed with S2 if that saves an
// eighth of it; see [Compression].
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
// A node that was down only for others, because it was cut off, comes back as
// itself: what it said meanwhile, and what was said to all, is repaired like
// any loss. What a watcher dropped on NodeDown, though, it has to ask for anew.
//
// A node that is about to leave says so with [Bus.Drain]: the others hear
// [NodeDraining] and see [Member].Draining, and can stop giving it work. All else
// goes on until its Close.
//
// # Nodes of different versions
//
// While a cluster is upgraded, nodes of two releases live together. Each tells
// which versions of the protocol it understands; two nodes speak the latest that
// both do ([Member].Protocol), and what is said to all is in one that all
// understand. What is new within a version is said only to those who have the
// capability for it ([Member].Caps), in which those above the Bus have bits of
// their own. A node with which no version is shared is not a member: its
// envelopes are dropped as [DropVersion], and the logger says so once.
//
// # Starting and losing the broker
//
// Open does not wait for a broker that is not there. The node works by itself
// and joins when the broker appears. [Bus.State] and the event [StateChanged]
// tell where it stands, the logger what happens:
// "connected to the broker", "lost the broker", "reconnecting" and "broker is
// back". Hooks.Link follows each connection and each attempt.
//
// # Who holds up whom
//
// Broadcast, Send and Request never wait. A handler holds up only what its
// sender says next; when 16 MiB wait behind it, the node stops reading from
// the broker, until it has caught up. What it misses by that, it asks for like
// any loss: its senders keep nothing for it but what they keep anyway, and do
// not wait. So memory is bounded at both ends: Options.Buffer for what a node
// says; for each node that it hears 16 MiB to hand over, 4 MiB to hold, and one
// unfinished long message, of which there are at most 128 MiB in all.
//
// # Seeing what happens
//
// [Hooks] tell of each envelope, with its messages, bytes and delay; of what was
// lost, repaired, dropped or came twice; of what is kept; and, with each beat of
// another node, how far that node is behind this one. What counts for an alarm is
// Gap (something is lost), Overflow (the broker is too slow, or away for too
// long), and a State that is not Up.
//
// # Tests
//
// A cluster within a test is some Buses over one memory.Hub, in a bubble of
// testing/synctest if time matters. The package brokertest holds the contracts
// for drivers of your own, and what befalls them: see its Run, RunBus, Faults and
// Bench.
//
// # Trust
//
// Whoever can publish to the topics of the broker can speak for any node.
// Bytes that are not well-formed are dropped and counted, and do no harm; but
// keep the broker to yourself.
package broker
