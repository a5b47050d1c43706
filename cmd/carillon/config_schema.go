package main

import (
	_ "embed"
	"strings"
	"time"
)

// descriptions has what the comments of the Config struct say of each key: its
// name, and indented below it the text. A test keeps it true.
//
//go:embed config_schema.txt
var descriptions string

// described is what descriptions has, by key.
func described() map[string]string {
	texts := map[string]string{}
	key := ""
	for line := range strings.Lines(descriptions) {
		text, indented := strings.CutPrefix(line, "  ")
		if text = strings.TrimSpace(text); indented {
			texts[key] = strings.TrimSpace(texts[key] + " " + text)
		} else if text != "" {
			key = text
		}
	}
	return texts
}

// Patterns of values that are written as text.
const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`
	sizePattern     = `^[0-9]+ ?([kKmMgG][iI]?)?[bB]?$`
)

// jsonSchema is a JSON Schema (draft-07, which editors know) of the YAML file.
func jsonSchema() map[string]any {
	root := object("Carillon's configuration file")
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	texts := described()
	for _, f := range newSchema().fields {
		section := root
		path := strings.Split(f.key, ".")
		for i, name := range path[:len(path)-1] {
			properties := section["properties"].(map[string]any)
			if properties[name] == nil {
				properties[name] = object(texts[strings.Join(path[:i+1], ".")])
			}
			section = properties[name].(map[string]any)
		}
		section["properties"].(map[string]any)[path[len(path)-1]] = f.jsonSchema(texts[f.key])
	}
	return root
}

// object is a section, which may be empty: all its keys commented out.
func object(description string) map[string]any {
	o := map[string]any{"type": []string{"object", "null"}, "properties": map[string]any{}, "additionalProperties": false}
	if description != "" {
		o["description"] = description
	}
	return o
}

func (f field) jsonSchema(description string) map[string]any {
	s := map[string]any{"description": description, "default": plain(f.initial)}
	switch f.initial.(type) {
	case time.Duration:
		s["type"], s["pattern"] = "string", durationPattern
	case Size:
		s["type"], s["pattern"], s["minimum"] = []string{"integer", "string"}, sizePattern, 0
	case int, int64:
		s["type"] = "integer"
	case float64:
		s["type"] = "number"
	case bool:
		s["type"] = "boolean"
	case []string:
		s["type"], s["items"] = "array", map[string]any{"type": "string"}
	default:
		s["type"] = "string"
	}
	if len(f.oneOf) > 0 {
		s["enum"] = f.oneOf
	}
	return s
}
