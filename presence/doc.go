// Package presence tells which users are here, over all their devices and all
// nodes of a cluster, without a shared store.
//
//	tracker := presence.New(bus, presence.Options{})
//	hold, err := tracker.Track("anna", "phone", presence.Meta{Name: "Anna's phone"})
//	…
//	hold.Lose()  // the connection broke: she may be back in a moment
//	hold.Leave() // she said goodbye
//
// A user is online from the first device on any node until the last one has
// gone. A lost device keeps its place for a grace, 8 s unless Options.Grace
// says otherwise: who is back by then, on whatever node, was never away, and
// nobody is told anything. Queries are answered from this node's own view,
// without asking anyone.
//
// # How late and how wrong a view can be
//
// A change is seen by all nodes within the time that a message takes, or, if it
// was lost, that its repair takes. Users of a node that left, in order or not,
// stay online for the grace of that node, counted from its last sign of life:
// with the defaults they are offline at most 10 s after a crash, and a rolling
// restart whose clients come back inside the grace is not noticed. A device
// that was lost shortly before its node crashed or left gets both graces.
//
// A node that cannot hear itself through the broker is cut off. It keeps its
// view, says so with [CutOff], and declares nobody offline for silence; what
// the others said before still counts. When it hears itself again, only what
// differs is told. While a node has not told all that it holds, or may have
// said something that was missed, the view is on [Probation].
//
// Where the broker loses much, a node that is well may seem silent for longer
// than its grace. So a node is given up after as many beats as it takes to be
// sure at the measured loss, twenty at most.
//
// # Snapshots and changes
//
// Changes carry numbers, and so do pages of all users. A client's copy of the
// view is without a hole if it takes the pages, and then all changes with
// greater numbers than the first page's. See [Page].
//
// # How it works
//
// Each node alone says what it holds, so the greatest version of its map is
// the right one, and no clocks have to agree. On the Bus's channel, "presence",
// it says what changes, numbered, and with each beat its latest number and a
// digest of all that it holds. Who finds something missing asks, with a nonce:
// the node answers with its latest changes, if it still has those that are
// missed, or with those of its 64 shards that differ, in pages.
//
// Much of that the Bus gives already, and is not done twice. It carries what is
// said in order, once each, and repairs what was lost; so what is asked here is
// what the Bus had to give up. A copied or replayed message of a node that is
// gone never comes through it, nor does one of a node that it does not hold
// alive; so nothing at all is kept here of a node that was given up. It tells
// who is up and, after five beats of silence, down: from then on nothing should
// be sent there. And it hears its own echo, which is why a node that is cut off
// knows. What is left to presence is
//   - probation: nothing that a new node holds, or one that comes back after
//     it was given up, counts before its answer to this node's own question;
//     the changes that it told before are in that answer;
//   - the end: a node that is down counts for its grace. How long it has been
//     silent is judged by its own uptime, which each message carries, so that
//     messages that were held up prove nothing;
//   - the freeze of that end, and a new start of it, while this node is cut off,
//     or stood still itself;
//   - the grace of this node's own devices, which it alone counts. It is given
//     in full, though the user may be seen elsewhere meanwhile: a third node may
//     hear of that later than of the end;
//   - numbers and digests, which find what the Bus could not bring, and what
//     its buffer refused.
//
// Beats say nothing of a whole view, as the digest of each node is compared with
// what every other has of it: if all of them match, so do the views.
//
// Names of users and devices, and metadata, are told to all nodes. Whoever can
// publish to the topics of the broker can speak for any node.
package presence
