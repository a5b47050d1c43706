package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	yamlnode "go.yaml.in/yaml/v3"
)

// file adds the YAML file of this name.
func (l *loader) file(name string) {
	data, err := os.ReadFile(name)
	if err != nil {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err // the name stands in front anyway
		}
		l.problem(origin{source: name}, "%w", err)
		return
	}
	l.yaml(name, data)
}

// yaml adds data, the content of the file of this name.
func (l *loader) yaml(name string, data []byte) {
	lines, err := keyLines(data)
	if err != nil {
		l.syntax(name, err)
		return
	}
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(data), yaml.Parser()); err != nil {
		l.syntax(name, err)
		return
	}
	l.add(source{
		values: k.Raw(),
		at: func(key string) origin {
			for k := key; k != ""; k = sectionOf(k) {
				if line, ok := lines[k]; ok {
					return origin{name, line}
				}
			}
			return origin{source: name}
		},
		spell: func(key string) string { return key },
	})
}

// keyLines is the line of every key in a YAML document, for messages.
func keyLines(data []byte) (map[string]int, error) {
	decoder := yamlnode.NewDecoder(strings.NewReader(string(data)))
	var document yamlnode.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil // an empty file
		}
		return nil, err
	}
	if err := decoder.Decode(new(yamlnode.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("expected one YAML document, got several")
	}
	lines := map[string]int{}
	if len(document.Content) > 0 {
		root := document.Content[0]
		if root.Kind != yamlnode.MappingNode && root.Tag != "!!null" {
			return nil, errors.New("line " + strconv.Itoa(root.Line) + ": expected sections such as server: and broker:")
		}
		addLines(lines, "", root)
	}
	return lines, nil
}

// addLines does not follow aliases: what stands below one is found by the
// line of the key above it.
func addLines(lines map[string]int, prefix string, n *yamlnode.Node) {
	if n.Kind != yamlnode.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := joinKey(prefix, n.Content[i].Value)
		lines[key] = n.Content[i].Line
		addLines(lines, key, n.Content[i+1])
	}
}

var (
	yamlLine = regexp.MustCompile(`^line (\d+): `)
	// yamlValue is where the parser quotes what it read, which may be a part
	// of a password that begins with * or !.
	yamlValue = regexp.MustCompile("'.*'|`.*`")
)

// syntax notes a file that is no YAML, without quoting from it.
func (l *loader) syntax(name string, err error) {
	all := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if many, ok := errors.AsType[*yamlnode.TypeError](err); ok {
		all = many.Errors
	}
	for _, text := range all {
		at := origin{source: name}
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			at.line, _ = strconv.Atoi(m[1])
			text = strings.TrimPrefix(text, m[0])
		}
		l.problem(at, "not readable as YAML: %s", yamlValue.ReplaceAllString(text, "(text not shown)"))
	}
}
