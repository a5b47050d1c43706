package kafka

import "time"

// Adoption is how long added partitions are not written to.
const Adoption = adoption

// NewSpread returns a function that says how many partitions are in use at a
// time when there are n.
func NewSpread() func(n int32, now time.Time) int32 { return new(spread).count }
