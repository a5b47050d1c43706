package main

import "time"

// Presence is who is told which users are online.
type Presence struct {
	// Mode is "all" (every client hears of every user), "rooms" (the members of
	// a room hear of each other), "watch" (a client hears of the users that it
	// asks for), "counts" (clients hear how many users there are) or "off".
	// The same on all nodes. Default: "all".
	Mode string `koanf:"mode" oneof:"all rooms watch counts off"`

	// Grace is how long a user stays online whose last connection was lost, or
	// whose node crashed or left: who is back by then was never away. At most
	// 1m; 0s for none. Default: 8s.
	Grace time.Duration `koanf:"grace"`

	// Window bounds how long changes are gathered before clients are told. They
	// are told at once while there are few. 100ms to 10s. Default: 500ms.
	Window time.Duration `koanf:"window"`

	// MaxUsers is with how many users online the mode "all" falls to "counts",
	// with a warning, until there are a fifth fewer. Default: 10000.
	MaxUsers int `koanf:"max_users"`

	// MaxWatch bounds the users that one client watches. Default: 1000.
	MaxWatch int `koanf:"max_watch"`
}

func defaultPresence() Presence {
	return Presence{Mode: "all", Grace: 8 * time.Second, Window: 500 * time.Millisecond, MaxUsers: 10_000, MaxWatch: 1000}
}

func (l *loader) checkPresence(p Presence) {
	l.unless(p.Grace >= 0 && p.Grace <= time.Minute, "presence.grace", "expected a duration of at most 1m, got %q", shortDuration(p.Grace))
	l.unless(p.Window >= 100*time.Millisecond && p.Window <= 10*time.Second, "presence.window", "expected 100ms to 10s, got %q", shortDuration(p.Window))
	l.unless(p.MaxUsers >= 1, "presence.max_users", "expected 1 or more, got %d", p.MaxUsers)
	l.unless(p.MaxWatch >= 1 && p.MaxWatch <= maxWatch, "presence.max_watch", "expected 1 to %d, got %d", maxWatch, p.MaxWatch)
}

// maxWatch is far beyond any use.
const maxWatch = 100_000
