package glob_test

import (
	"testing"

	"github.com/carillonhq/carillon/cmd/carillon/internal/glob"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "a/b:c", true},
		{"a*", "a", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"a*a", "a", false}, // the two do not overlap
		{"a*a", "aa", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"**", "x", true},
		{"[a]?", "[a]?", true}, // nothing else is special
		{"[a]?", "ab", false},
		{"{user}", "{user}", true},
	} {
		if got := glob.Match(c.pattern, c.name); got != c.want {
			t.Errorf("%q, %q: got %v", c.pattern, c.name, got)
		}
	}
}

func TestMatchUser(t *testing.T) {
	for _, c := range []struct {
		pattern, user, name string
		want                bool
	}{
		{"dm:{user}", "alice", "dm:alice", true},
		{"dm:{user}", "alice", "dm:bob", false},
		{"dm:{user}:*", "alice", "dm:alice:x", true},
		{"*:{user}:*", "alice", "a:alice:", true},
		{"{user}-{user}", "a", "a-a", true},
		{"dm:{user}", "*", "dm:bob", false}, // a user's name is no pattern
		{"dm:{user}", "*", "dm:*", true},
		{"dm:{user}", "{user}", "dm:{user}", true},
	} {
		if got := glob.MatchUser([]string{"other", c.pattern}, c.user, c.name); got != c.want {
			t.Errorf("%q of %q, %q: got %v", c.pattern, c.user, c.name, got)
		}
	}
	if glob.MatchUser(nil, "a", "a") || glob.MatchAny(nil, "a") || !glob.MatchAny([]string{"b", "a"}, "a") {
		t.Error("no pattern matches nothing, and any of several is enough")
	}
}
