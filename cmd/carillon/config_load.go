package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// loadConfig builds the configuration from the defaults, over them the file
// (unless its name is empty), over it environ, in the form of os.Environ, and
// over that the flags, by key. What cannot be right is refused, all of it at
// once: the error has a line for every problem, which says where the value
// was written, its key, and what was expected. It never shows a secret.
func loadConfig(file string, environ []string, flags map[string]string) (Config, error) {
	return load(file, environ, flags).config()
}

// load lays all sources over each other.
func load(file string, environ []string, flags map[string]string) *loader {
	l := newLoader()
	if file != "" {
		l.file(file)
	}
	l.environment(l.fromFiles(environ))
	l.flags(flags)
	return l
}

// A loader lays one source over the other and collects what is wrong with them.
type loader struct {
	schema   schema
	merged   *koanf.Koanf
	origins  map[string]origin // where each key that is set was set last
	refused  map[string]bool   // keys with a problem: no second one is looked for
	files    map[string]string // the file that a variable's value comes from
	problems []error
}

func newLoader() *loader {
	return &loader{
		schema:  newSchema(),
		merged:  koanf.New("."),
		origins: map[string]origin{},
		refused: map[string]bool{},
		files:   map[string]string{},
	}
}

// config is all that was added, over the defaults, or all that is wrong with it.
func (l *loader) config() (Config, error) {
	cfg := defaultConfig()
	if err := l.merged.Unmarshal("", &cfg); err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	l.check(cfg)
	if err := errors.Join(l.problems...); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// An origin is where a value was written.
type origin struct {
	source string // "configs/redis.yaml", "environment variable REDIS_URL", "flag --listen"
	line   int    // of a file; 0 where there is none
}

func (o origin) String() string {
	switch {
	case o.source == "":
		return "default"
	case o.line == 0:
		return o.source
	}
	return fmt.Sprintf("%s:%d", o.source, o.line)
}

// A source is one place where values are written.
type source struct {
	values map[string]any      // nested, or flat by key
	text   bool                // every value is text
	at     func(string) origin // where a key stands in it
	spell  func(string) string // a key as one writes it there
}

// add lays src over what was added before.
func (l *loader) add(src source) {
	accepted := map[string]any{}
	l.walk(src, "", src.values, accepted)
	// The values have their final types and keys of the schema alone, so that
	// nothing is left here that could fail.
	if err := l.merged.Load(confmap.Provider(accepted, "."), nil); err != nil {
		l.problems = append(l.problems, err)
	}
}

// walk adds to accepted what is right in values, which stand below prefix.
func (l *loader) walk(src source, prefix string, values, accepted map[string]any) {
	for _, key := range src.order(prefix, values) {
		v, at := values[key.own], src.at(key.full)
		f, known := l.schema.byKey[key.full]
		_, twice := accepted[key.full]
		switch {
		case twice: // as server: {listen: …} and as server.listen: …
			l.refuse(key.full, "given twice")
		case known:
			l.origins[key.full] = at
			typed, err := f.parse(v, src.text)
			if err != nil {
				l.refuse(key.full, "%w", err)
				continue
			}
			accepted[key.full] = typed
		case l.schema.sections[key.full]:
			if section, ok := v.(map[string]any); ok {
				l.walk(src, key.full, section, accepted)
			} else if v != nil { // nil: all its keys are commented out
				l.problem(at, "%s: expected a section with keys of its own", key.full)
			}
		default:
			hint := "expected one of " + strings.Join(l.schema.below(prefix), ", ")
			if near := l.schema.nearest(key.full); near != "" {
				hint = fmt.Sprintf("did you mean %s?", src.spell(near))
			}
			l.problem(at, "%s: unknown key, %s", key.full, hint)
		}
	}
}

// order is the keys of values as they follow each other in the source.
func (s source) order(prefix string, values map[string]any) []sourceKey {
	var keys []sourceKey
	for own := range values {
		keys = append(keys, sourceKey{own, joinKey(prefix, own)})
	}
	slices.SortFunc(keys, func(a, b sourceKey) int {
		return cmp.Or(cmp.Compare(s.at(a.full).line, s.at(b.full).line), cmp.Compare(a.own, b.own))
	})
	return keys
}

type sourceKey struct{ own, full string } // "listen", "server.listen"

// problem notes what is wrong at a place.
func (l *loader) problem(at origin, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: "+format, append([]any{at}, args...)...))
}

// refuse notes what is wrong with the value of a key.
func (l *loader) refuse(key, format string, args ...any) {
	l.refused[key] = true
	l.problem(l.origins[key], "%s: "+format, append([]any{key}, args...)...)
}
