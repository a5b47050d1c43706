package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parse turns what a source says into a value of the field's type. From text
// (the environment, a flag) it reads numbers and truth values; a file must
// give them their YAML type.
func (f field) parse(v any, text bool) (any, error) {
	if s, ok := v.(string); ok && text {
		v = f.fromText(s)
	}
	switch f.initial.(type) {
	case time.Duration:
		if s, ok := v.(string); ok {
			if d, err := time.ParseDuration(s); err == nil {
				return d, nil
			}
		}
	case Size:
		switch v := v.(type) {
		case int:
			return Size(v), nil // whether it is in bounds, check says
		case string:
			if n, ok := parseSize(v); ok {
				return n, nil
			}
		}
	case int64:
		if n, ok := v.(int); ok {
			return int64(n), nil
		}
	case float64:
		switch v := v.(type) {
		case int:
			return float64(v), nil
		case float64:
			return v, nil
		}
	case []string:
		if list, ok := texts(v); ok {
			return list, nil
		}
	case string:
		if s, ok := v.(string); ok && (len(f.oneOf) == 0 || slices.Contains(f.oneOf, s)) {
			return s, nil
		}
	default: // int and bool
		if reflect.TypeOf(v) == reflect.TypeOf(f.initial) {
			return v, nil
		}
	}
	return nil, fmt.Errorf("expected %s, got %s", f.wants(), f.shown(v))
}

// fromText is s as the YAML parser would have given it, or s itself where it
// does not read as the field's type.
func (f field) fromText(s string) any {
	switch f.initial.(type) {
	case int, int64:
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
	case float64:
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			return n
		}
	case bool:
		if b, err := strconv.ParseBool(s); err == nil {
			return b
		}
	case []string:
		var list []any
		for item := range strings.SplitSeq(s, ",") {
			list = append(list, strings.TrimSpace(item))
		}
		return list
	}
	return s
}

func texts(v any) ([]string, bool) {
	items, ok := v.([]any)
	var list []string // stays nil when empty, as by default
	for _, item := range items {
		s, isText := item.(string)
		ok = ok && isText
		list = append(list, s)
	}
	return list, ok
}

// wants names the field's type in words, by example where that says more.
func (f field) wants() string {
	switch f.initial.(type) {
	case time.Duration:
		return fmt.Sprintf("a duration such as %q", f.initialText())
	case Size:
		return fmt.Sprintf("a size such as %q or a number of bytes", f.initialText())
	case []string:
		return "a list of texts"
	case int, int64:
		return "a whole number"
	case float64:
		return "a number"
	case bool:
		return "true or false"
	}
	if len(f.oneOf) > 0 {
		return "one of " + strings.Join(f.oneOf, ", ")
	}
	return "a text"
}

// shown is a refused value in words.
func (f field) shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	case string:
		switch {
		case f.secret:
			return "a text that is not shown"
		case slices.Contains(f.soon, v):
			return fmt.Sprintf("%q, which this build does not support yet", v)
		}
		return strconv.Quote(v)
	default:
		if f.secret {
			return "another type of value; put it in quotes"
		}
		if _, ok := f.initial.(string); ok {
			return fmt.Sprintf("%v; put it in quotes", v)
		}
		return fmt.Sprint(v)
	}
}

// initialText is the default as one writes it.
func (f field) initialText() string {
	switch initial := f.initial.(type) {
	case time.Duration:
		return shortDuration(initial)
	case string:
		if initial == "" {
			return `""`
		}
	}
	return fmt.Sprint(f.initial)
}

// shortDuration is d without the zeros that time.Duration.String ends in.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
