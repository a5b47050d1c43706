package main

import (
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// Recovery is what clients find again who have lost their connection.
type Recovery struct {
	// Enabled keeps a client's socket, and what it misses, for a while after
	// its connection was lost: one that is back in time, on any node, goes on as
	// if nothing had been, with its rooms and each event once. Every event that
	// wants no acknowledgement has one more argument then, by which clients
	// tell where they stood. Default: true.
	Enabled bool `koanf:"enabled"`

	// Window is how long a client may be away. At least 1s. Default: 2m.
	Window time.Duration `koanf:"window"`

	// MaxBytes bounds the events that this node keeps for all of that, and half
	// of it those of one namespace. Who missed what had to be given up begins
	// anew. At least 1MiB. Default: 64MiB.
	MaxBytes Size `koanf:"max_bytes"`

	// MaxParked bounds the sockets that are kept at a time; the one kept for
	// longest gives way. At least 1. Default: 50000.
	MaxParked int `koanf:"max_parked"`
}

func defaultRecovery() Recovery {
	return Recovery{Enabled: true, Window: 2 * time.Minute, MaxBytes: 64 << 20, MaxParked: 50_000}
}

func (l *loader) checkRecovery(r Recovery) {
	l.lasting("recovery.window", r.Window, time.Second)
	l.unless(r.MaxBytes >= 1<<20, "recovery.max_bytes", "expected a size of at least 1MiB, got %s", r.MaxBytes)
	l.unless(r.MaxParked >= 1, "recovery.max_parked", "expected 1 or more, got %d", r.MaxParked)
}

// options leave out the administrators, who are told all of the present anyway.
// Who comes back has to show who it is once more: its token may have ended, or
// been revoked.
func (r Recovery) options() socketio.Recovery {
	return socketio.Recovery{
		Enabled:   r.Enabled,
		Window:    r.Window,
		MaxBytes:  int(r.MaxBytes / 2),
		MaxTotal:  int(r.MaxBytes),
		MaxParked: r.MaxParked,
		Except:    []string{adminNamespace},

		Middlewares: true,
		Encode:      encodeDevice,
		Decode:      decodeDevice,
	}
}
