package broker

import "encoding/binary"

// What the tests of the wire need to see.
type (
	Envelope = envelope
	Header   = header
	Hello    = hello
	Beat     = beat
	Msg      = message
	Ref      = ref
)

const (
	MsgDirect  = msgDirect
	MsgRequest = msgRequest
	MsgAnswer  = msgAnswer
	MsgRefused = msgRefused
	MsgMore    = msgMore
	MsgPart    = msgPart
	HelloWant  = helloWant

	HelloDraining = helloDraining
	RepairRate    = repairRate
	RepairBurst   = repairBurst
)

func NewMsg(flags byte, seq, prev, id uint64, channel string, refs []Ref, body string) Msg {
	return Msg{flags: flags, seq: seq, prev: prev, id: id, channel: channel, refs: refs, body: []byte(body)}
}

func NewHeader(sender NodeID, pn, age, left uint64) Header {
	return Header{version, 0, sender, pn, age, left}
}

func NewHello(flags byte, target NodeID, base, prev uint64, name string) Hello {
	return Hello{flags, target, base, prev, name, oldest, version, ownCaps}
}

// Speaking returns h of a node of other versions.
func (h Hello) Speaking(oldest, latest uint8, caps Capabilities) Hello {
	h.oldest, h.latest, h.caps = oldest, latest, caps
	return h
}
func NewBeat(head uint64, refs ...Ref) *Beat { return &Beat{0, head, refs} }
func NewRef(node uint32, seq uint64) Ref     { return Ref{node, seq} }
func NewEnvelope(h Header, hellos []Hello, b *Beat, ms []Msg, bye *Beat) *Envelope {
	return &Envelope{header: h, hellos: hellos, beat: b, messages: ms, bye: bye}
}

// Ack adds an acknowledgement to e, Drain says that its sender is about to leave.
func (e *Envelope) Ack(acks ...Ref) *Envelope {
	e.acks = append(e.acks, acks...)
	return e
}

// Acks returns how many there are in e.
func (e *Envelope) Acks() int { return len(e.acks) }

func (e *Envelope) Drain() *Envelope {
	e.beat.state = stateDraining
	return e
}

// Ask adds a request for repair to e, Answer an answer to one.
func (e *Envelope) Ask(base, upto uint64) *Envelope {
	e.asks = append(e.asks, hole{base, upto})
	return e
}

func (e *Envelope) Answer(base, lost, last, upto uint64) *Envelope {
	e.spans = append(e.spans, span{base, lost, last, upto})
	return e
}

func (e *Envelope) Encode(cluster string) []byte { return e.append(nil, clusterTag(cluster), nil) }
func (e *Envelope) EncodePacked(cluster string) []byte {
	return e.append(nil, clusterTag(cluster), new(packer))
}

func Decode(cluster string, data []byte) (*Envelope, error) {
	return (&decoder{tag: clusterTag(cluster)}).decode(data)
}

// Pending counts gathers in the table.
func (b *Bus) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending)
}

// Inject is as if the driver had brought data.
func (b *Bus) Inject(direct bool, data []byte) {
	b.receive(&decoder{tag: b.tag, self: b.self.ID}, direct, data)
}

// NewDecoder returns a decoder that is used again and again.
func NewDecoder(cluster string) func([]byte) error {
	d := &decoder{tag: clusterTag(cluster)}
	return func(data []byte) error { _, err := d.decode(data); return err }
}

// Seq returns the last number given.
func (b *Bus) Seq() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

// Kept returns the bytes in the ring, and those which it counts one by one.
func (b *Bus) Kept() (bytes, counted, waits int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.ring.entries[b.ring.head:] {
		e := &b.ring.entries[b.ring.head+i]
		counted += e.size()
		if e.state == waiting {
			waits += e.size()
		}
	}
	if waits != b.ring.queued {
		panic("what waits is counted wrong")
	}
	return b.ring.bytes, counted, waits
}

// Open counts the peers of which something is missing, or that are not up.
func (b *Bus) Open() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.peers {
		if _, open := p.hole(); open || !p.up {
			n++
		}
	}
	return n
}

// Assembling returns the bytes of unfinished messages.
func (b *Bus) Assembling() int { return int(b.assembling.Load()) }

// Pack compresses items as for a topic with the same packer; it reports
// whether that was worth it.
type Packer struct{ p packer }

func (p *Packer) Pack(items []byte) bool {
	return len(p.p.pack(items[:len(items):len(items)], 0)) < len(items)
}

// PackedItem returns an item that claims to hold content as an S2 block.
func PackedItem(block []byte) []byte {
	return append(binary.AppendUvarint([]byte{kindPacked}, uint64(len(block))), block...)
}

// Queued returns the bytes in the lanes of the peers.
func (b *Bus) Queued() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.peers {
		p.lane.mu.Lock()
		n += p.lane.bytes
		p.lane.mu.Unlock()
	}
	return n
}
