package main

import "github.com/carillonhq/carillon/cmd/carillon/internal/metrics"

// measuredGate are hooks that count whom a gate does not let in, or lets do.
func measuredGate(m *metrics.Metrics) gateHooks {
	door := m.Gate()
	return gateHooks{
		Auth:      m.Auth(),
		Limit:     m.Limits(),
		Expired:   door.Expired,
		Forbidden: door.Forbidden,
		Origin:    door.Origin,
		HalfOpen:  door.HalfOpen,
	}
}
