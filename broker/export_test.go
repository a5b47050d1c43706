package broker

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
	HelloWant  = helloWant
)

func NewMsg(flags byte, seq, prev, id uint64, channel string, refs []Ref, body string) Msg {
	return Msg{flags: flags, seq: seq, prev: prev, id: id, channel: channel, refs: refs, body: []byte(body)}
}

func NewHeader(sender NodeID, pn, age, left uint64) Header { return Header{0, sender, pn, age, left} }

func NewHello(flags byte, target NodeID, base, prev uint64, name string) Hello {
	return Hello{flags, target, base, prev, name}
}
func NewBeat(head uint64, refs ...Ref) *Beat { return &Beat{0, head, refs} }
func NewRef(node uint32, seq uint64) Ref     { return Ref{node, seq} }
func NewEnvelope(h Header, hellos []Hello, b *Beat, ms []Msg, bye *Beat) *Envelope {
	return &Envelope{h, hellos, b, ms, bye}
}
func (e *Envelope) Encode(cluster string) []byte { return e.append(nil, clusterTag(cluster)) }
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
	b.receive(&decoder{tag: b.tag}, direct, data)
}

// NewDecoder returns a decoder that is used again and again.
func NewDecoder(cluster string) func([]byte) error {
	d := &decoder{tag: clusterTag(cluster)}
	return func(data []byte) error { _, err := d.decode(data); return err }
}
