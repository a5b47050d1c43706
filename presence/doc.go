// Package presence tells which users are here, over all their devices and all
// nodes of a cluster, without a shared store.
//
// Each node alone says which devices it holds, to all others, over the Bus: a
// change as it happens, and all it holds to a node that joins or has missed
// something. A user is online while any live node holds a device of theirs;
// when a node goes down, what it held is gone. Queries are answered from this
// node's own view, without asking anyone.
//
// A view is behind the truth by the time that a message takes, about a
// millisecond; a node that crashed counts until the Bus declares it down, five
// heartbeats later. A node that is cut off from the broker keeps its view and
// declares nobody gone.
package presence
