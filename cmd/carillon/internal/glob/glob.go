// Package glob matches names against patterns in which "*" stands for any
// text.
package glob

import "strings"

// Match reports whether name is one that pattern stands for: each "*" in it is
// any text, also none, and all else is itself.
func Match(pattern, name string) bool { return match(strings.Split(pattern, "*"), name) }

// MatchAny reports whether Match holds for one of patterns.
func MatchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if Match(p, name) {
			return true
		}
	}
	return false
}

// MatchUser is MatchAny for patterns in which "{user}" stands for the name of
// a user. A "*" in that name is itself.
func MatchUser(patterns []string, user, name string) bool {
	for _, p := range patterns {
		pieces := strings.Split(p, "*")
		for i := range pieces {
			pieces[i] = strings.ReplaceAll(pieces[i], "{user}", user)
		}
		if match(pieces, name) {
			return true
		}
	}
	return false
}

// match reports whether name is the pieces in their order, with any text
// between them. The first place where a piece fits is as good as any other.
func match(pieces []string, name string) bool {
	if len(pieces) == 1 {
		return name == pieces[0]
	}
	name, ok := strings.CutPrefix(name, pieces[0])
	if !ok {
		return false
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		if _, name, ok = strings.Cut(name, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(name, pieces[last])
}
