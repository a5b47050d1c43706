package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	yamlnode "go.yaml.in/yaml/v3"
)

// settings is the effective value of every key, secrets masked, with where it
// was set last.
func (l *loader) settings(cfg Config) []effective {
	var all []effective
	for _, f := range fieldsOf(cfg) {
		v := f.initial
		if f.secret {
			v = f.masked()
		}
		all = append(all, effective{f.key, plain(v), l.origins[f.key].String(), f.initial})
	}
	return all
}

// fieldsOf is every key with its value in cfg.
func fieldsOf(cfg Config) []field {
	s := schema{byKey: map[string]field{}, sections: map[string]bool{}}
	s.add("", reflect.ValueOf(cfg))
	return s.fields
}

// An effective value is one that is in force.
type effective struct {
	key    string
	shown  any
	origin string
	value  any // as it is, never shown
}

func (e effective) changed() bool {
	return !reflect.DeepEqual(e.value, newSchema().byKey[e.key].initial)
}

// plain is a value in the types of YAML and JSON, as one writes it.
func plain(v any) any {
	switch v := v.(type) {
	case time.Duration:
		return shortDuration(v)
	case Size:
		return v.String()
	case []string:
		return append([]string{}, v...) // an empty list rather than null
	}
	return v
}

// printYAML writes a file that has the same effect, but for secrets, with
// where each value comes from beside it.
func printYAML(w io.Writer, all []effective) error {
	root := &yamlnode.Node{Kind: yamlnode.MappingNode}
	for _, e := range all {
		section := root
		path := strings.Split(e.key, ".")
		for _, name := range path[:len(path)-1] {
			section = below(section, name)
		}
		value := new(yamlnode.Node)
		if err := value.Encode(e.shown); err != nil {
			return err
		}
		if value.Kind == yamlnode.SequenceNode {
			value.Style = yamlnode.FlowStyle
		}
		key := &yamlnode.Node{Kind: yamlnode.ScalarNode, Value: path[len(path)-1]}
		value.LineComment = "# " + e.origin
		section.Content = append(section.Content, key, value)
	}
	var b bytes.Buffer
	encoder := yamlnode.NewEncoder(&b)
	encoder.SetIndent(2)
	if len(root.Content) > 0 {
		if err := encoder.Encode(root); err != nil {
			return err
		}
	}
	return aligned(w, b.String())
}

// below is the section of this name in a section, made if it is not there.
func below(section *yamlnode.Node, name string) *yamlnode.Node {
	for i := 0; i < len(section.Content); i += 2 {
		if section.Content[i].Value == name {
			return section.Content[i+1]
		}
	}
	made := &yamlnode.Node{Kind: yamlnode.MappingNode}
	section.Content = append(section.Content, &yamlnode.Node{Kind: yamlnode.ScalarNode, Value: name}, made)
	return made
}

// commentColumn is where comments stand, unless the value is longer.
const commentColumn = 44

func aligned(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		// Values hold no " # " that is not in quotes, and the comment is last.
		if i := strings.LastIndex(line, " # "); i >= 0 {
			line = fmt.Sprintf("%-*s%s", commentColumn, line[:i], line[i:])
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(w io.Writer, all []effective) error {
	type setting struct {
		Value  any    `json:"value"`
		Origin string `json:"origin"`
	}
	byKey := map[string]setting{}
	for _, e := range all {
		byKey[e.key] = setting{e.shown, e.origin}
	}
	return indented(w, byKey)
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
