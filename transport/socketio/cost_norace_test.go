//go:build !race

package socketio_test

const maxIdleBytes = 7 << 10 // held by a client that says nothing, stacks among it
