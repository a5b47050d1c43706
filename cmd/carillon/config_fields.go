package main

import (
	"reflect"
	"slices"
	"strings"
)

// A field is one key that can be set, as the Config struct declares it.
type field struct {
	key     string // "server.listen"
	oneOf   []string
	soon    []string // names that a later version will know
	secret  bool     // what was set is never shown
	initial any      // the default; its type is the key's
}

// A schema is every key, and every section on the way to one.
type schema struct {
	fields   []field // in the order of the Config struct
	byKey    map[string]field
	sections map[string]bool
}

func newSchema() schema {
	s := schema{byKey: map[string]field{}, sections: map[string]bool{}}
	s.add("", reflect.ValueOf(defaultConfig()))
	return s
}

func (s *schema) add(prefix string, section reflect.Value) {
	for i := range section.NumField() {
		tag := section.Type().Field(i).Tag
		key := joinKey(prefix, tag.Get("koanf"))
		if section.Field(i).Kind() == reflect.Struct {
			s.sections[key] = true
			s.add(key, section.Field(i))
			continue
		}
		f := field{
			key:     key,
			oneOf:   strings.Fields(tag.Get("oneof")),
			soon:    strings.Fields(tag.Get("soon")),
			secret:  tag.Get("secret") == "true",
			initial: section.Field(i).Interface(),
		}
		s.fields = append(s.fields, f)
		s.byKey[key] = f
	}
}

// below is what a section holds, in the order of the Config struct.
func (s *schema) below(section string) []string {
	var keys []string
	for _, f := range s.fields {
		for key := f.key; key != ""; key = sectionOf(key) {
			if sectionOf(key) == section && !slices.Contains(keys, lastName(key)) {
				keys = append(keys, lastName(key))
			}
		}
	}
	return keys
}

// nearest is the key or section that was most likely meant by an unknown key:
// one spelled much like it, or the same word in another place. It is empty
// where nothing is near.
func (s *schema) nearest(unknown string) string {
	best, least := "", 1+len(lastName(unknown))/3
	try := func(known string) {
		d := min(distance(unknown, known), distance(lastName(unknown), lastName(known))+1)
		if lastName(unknown) == lastName(known) {
			d = 0
		}
		if d < least {
			best, least = known, d
		}
	}
	for _, f := range s.fields {
		for section := sectionOf(f.key); section != ""; section = sectionOf(section) {
			try(section)
		}
		try(f.key)
	}
	return best
}

// distance is the number of letters to insert, remove or replace between a
// and b (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func joinKey(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func sectionOf(key string) string { return key[:max(strings.LastIndexByte(key, '.'), 0)] }
func lastName(key string) string  { return key[strings.LastIndexByte(key, '.')+1:] }
