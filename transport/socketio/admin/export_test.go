package admin

import "time"

var (
	ParseHandshake = parseHandshake
	MaxSessions    = maxSessions
)

// Sessions are the logins of a node.
type Sessions = sessions

func NewSessions(life time.Duration) *Sessions {
	return &sessions{life: life, expiry: make(map[string]time.Time)}
}

func (s *Sessions) Issue() string        { return s.issue() }
func (s *Sessions) Valid(id string) bool { return s.valid(id) }
