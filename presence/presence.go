package presence

// A User is who is behind one or more devices.
type User struct {
	ID      string
	Devices int      // on all nodes
	Nodes   []string // names of the nodes that hold them, sorted
}

// A Change is a user's first device coming, or the last one going. For one
// user, true and false alternate.
type Change struct {
	User   string
	Online bool
}

// Options tune a Tracker. The zero value is ready for use.
type Options struct {
	// Malformed is called for a message of another node that could not be
	// read and was dropped. It must not block.
	Malformed func(from string)
}
