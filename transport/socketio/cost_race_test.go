//go:build race

package socketio_test

const maxIdleBytes = 24 << 10 // the race detector's own, and what pools drop for it, come on top
