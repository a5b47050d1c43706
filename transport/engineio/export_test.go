package engineio

// Waits reports whether a poll of the session waits.
func (s *Session) Waits() bool {
	conn, ok := s.polling()
	return ok && conn.Waiting()
}
