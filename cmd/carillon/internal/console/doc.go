// Package console tells people who watch it, over Socket.IO, how each node of
// the cluster fares: once a second, while they watch.
//
// Nodes tell each other how they are on a channel of the Bus, and only while
// somebody on any of them watches. A node with watchers says so with each
// report that it broadcasts, once a second; who hears that sends it reports in
// turn, until it says otherwise, is down, or has been silent for three seconds.
// So nothing is counted, and nothing said, while nobody looks.
package console
