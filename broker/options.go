package broker

import (
	"fmt"
	"log/slog"
	"time"
)

// Options tune a Bus. The zero value is ready for use.
type Options struct {
	// Node is the name of this node among its peers, at most 255 bytes. A
	// stable name lets the others see at once that a restarted node took the
	// place of its former self. Default: "node-" and the short ID.
	Node string

	// Cluster keeps clusters apart that share a broker: it begins the name
	// of every topic, and its hash stands in every envelope. Letters, digits
	// and "._-", at most 64. Default: "carillon".
	Cluster string

	// Heartbeat is the time between two beats of a node. A node that is
	// silent for five of them is down. Default: 1s. At least 10ms.
	Heartbeat time.Duration

	// Buffer bounds the bytes of what this node has said and keeps: what waits
	// for the broker, and in the room which that leaves, for up to 30 s, what
	// the broker took, for nodes that missed it. 128 bytes of overhead for each
	// message are included. Default: 32 MiB.
	Buffer int

	// Compression is of what goes to the broker.
	Compression Compression

	// Retry is how reconnecting goes on.
	Retry Retry

	Logger *slog.Logger // Default: slog.Default().
	Hooks  Hooks
}

// Bounds on what a Bus sends.
const (
	MaxBody    = 16 << 20 // bytes of one message's body; see also Options.Buffer
	MaxChannel = 64       // bytes of a channel's name
)

// Compression is how a Bus compresses. The zero value has envelopes with 1 KB
// of messages or more compressed with S2, unless that does not save an eighth.
type Compression struct {
	// Off turns it off: for a broker on the same machine, say. What others
	// compressed is understood all the same.
	Off bool

	// Skip, if set, tells of a single message that it is not to be compressed.
	// It is called on the goroutine that says it, and must not keep body.
	Skip func(channel string, body []byte) bool
}

func (c *Compression) skips(channel string, body []byte) bool {
	return c.Skip != nil && !c.Off && c.Skip(channel, body)
}

func (o *Options) fill(id NodeID) error {
	if o.Node == "" {
		o.Node = "node-" + id.Short()
	}
	if len(o.Node) > maxName {
		return fmt.Errorf("broker: the name of the node has %d bytes, at most %d are possible", len(o.Node), maxName)
	}
	if o.Cluster == "" {
		o.Cluster = "carillon"
	}
	if len(o.Cluster) > 64 {
		return fmt.Errorf("broker: the name of the cluster has %d bytes, at most 64 are possible", len(o.Cluster))
	}
	for _, c := range []byte(o.Cluster) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("broker: the name of the cluster, %q, may have only letters, digits and \"._-\"", o.Cluster)
		}
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = time.Second
	}
	o.Heartbeat = max(o.Heartbeat, 10*time.Millisecond)
	if o.Buffer <= 0 {
		o.Buffer = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// Retry is the policy of reconnecting, one for the Bus and its drivers.
type Retry struct {
	Base    time.Duration // retry n waits n times Base. Default: 100ms.
	Max     time.Duration // but never longer than this. Default: 3s.
	Retries int           // after so many the node counts as degraded, and goes on every Max. Default: 10.
}

// Wait returns the time to wait before retry n, counted from 1.
func (r Retry) Wait(n int) time.Duration {
	base, limit := r.Base, r.Max
	if base <= 0 {
		base = 100 * time.Millisecond
	}
	if limit <= 0 {
		limit = 3 * time.Second
	}
	if r.Exhausted(n) || time.Duration(n) > limit/base {
		return limit
	}
	return time.Duration(n) * base
}

// Exhausted reports whether retry n is one too many.
func (r Retry) Exhausted(n int) bool {
	if r.Retries <= 0 {
		return n > 10
	}
	return n > r.Retries
}

// Hooks observe a Bus. They are called on the goroutine that does the work,
// with no lock held, some of them concurrently, and must not block. A nil
// field is skipped.
type Hooks struct {
	// Published follows every publish of an envelope to the broker: how many
	// messages it carried, its size, how long the broker took.
	Published func(messages, bytes int, took time.Duration, err error)

	// Received follows every envelope of another node.
	Received func(messages, bytes int)

	// Dropped counts what came from the broker and was not used.
	Dropped func(reason DropReason, bytes int)

	// Duplicate counts messages that had come before: repeated by the broker,
	// or by a repair of what came by itself meanwhile.
	Duplicate func(from Member)

	// Gap counts holes: up to n messages of that node may be missing.
	Gap func(from Member, n uint64)

	// Asked counts what this node asks another to repair, Repaired the
	// messages that came for that.
	Asked    func(from Member)
	Repaired func(from Member, messages int)

	// Repair counts what this node repairs for another. Many bytes say that
	// the broker loses much.
	Repair func(to Member, messages, bytes int)

	// Kept tells at each heartbeat what is kept of this node's messages, of
	// which waiting bytes are not at the broker yet. Options.Buffer bounds both.
	Kept func(bytes, waiting int)

	// Lag follows every envelope with the time that it took through the broker.
	// Of this node itself (its own envelopes come back) that is the time
	// there and back. No clocks are compared: of another node it is how much
	// longer it took than the fastest envelope of that node so far.
	Lag func(from Member, lag time.Duration)

	NodeUp   func(Member)
	NodeDown func(Member)

	// Link follows what a driver tells of its connections, each failed attempt
	// among it; of a driver that tells nothing, what publishes show.
	Link func(Link)

	// Overflow counts messages refused with ErrOverflow.
	Overflow func(channel string, bytes int)
}

// A DropReason says why something from the broker was not used.
type DropReason string

// The reasons of Hooks.Dropped.
const (
	DropMalformed DropReason = "malformed"  // no envelope of a Bus, or a truncated one
	DropVersion   DropReason = "version"    // of a later protocol
	DropForeign   DropReason = "foreign"    // of another cluster
	DropStale     DropReason = "stale"      // old news of a node that is gone
	DropNamesake  DropReason = "namesake"   // of a node whose name a younger one bears
	DropCrowded   DropReason = "crowded"    // of one node more than a Bus keeps
	DropNoHandler DropReason = "no handler" // a message on a channel that nobody handles
)
