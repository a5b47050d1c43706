package websocket

import "runtime"

// deepen has the stack of a goroutine that begins grow once, to what a Receiver
// needs. By itself it doubles whenever it is full, in the depths of gws and of
// the Receiver, and then every frame that is on it has to be adjusted.
//
//go:noinline
func deepen() {
	var room [5 << 10]byte
	runtime.KeepAlive(&room)
}
