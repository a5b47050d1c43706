package main

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

// fileSuffix ends the name of a variable that names a file with the value.
const fileSuffix = "_FILE"

// fromFiles puts, in environ, the secrets in the place of the variables that
// name files with them, as Docker and Kubernetes mount secrets:
// REDIS_PASSWORD_FILE=/run/secrets/redis has what the file has as
// REDIS_PASSWORD. The end of its last line does not count, and a list has a
// line for each item.
func (l *loader) fromFiles(environ []string) []string {
	given := map[string]bool{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		given[name] = value != ""
	}
	var out []string
	for _, v := range environ {
		variable, path, _ := strings.Cut(v, "=")
		name := strings.TrimSuffix(variable, fileSuffix)
		if f, ok := l.secretOf(variable); !ok || path == "" {
			out = append(out, v)
		} else if at := (origin{source: "environment variable " + variable}); given[name] {
			l.problem(at, "%s: given twice, by %s too", f.key, name)
		} else if data, err := os.ReadFile(path); err != nil {
			if failed, ok := errors.AsType[*fs.PathError](err); ok {
				err = failed.Err // the name stands in front anyway
			}
			l.problem(at, "%s: %s: %w", f.key, path, err)
		} else {
			text := strings.TrimRight(string(data), "\r\n")
			if _, list := f.initial.([]string); list {
				text = strings.Join(strings.Fields(text), ",")
			}
			l.files[name] = path
			out = append(out, name+"="+text)
		}
	}
	return out
}

// secretOf is the secret whose file a variable names, if it does. Keys of their
// own, such as broker.kafka.tls.ca_file, are none.
func (l *loader) secretOf(variable string) (field, bool) {
	name, ok := strings.CutSuffix(variable, fileSuffix)
	if _, own := l.schema.byKey[ownKey(variable, "")]; !ok || own {
		return field{}, false
	}
	key := customary[name]
	if key == "" {
		key = ownKey(name, "")
	}
	f := l.schema.byKey[key]
	return f, f.secret
}

// mask stands for what is not shown.
const mask = "***"

// masked is the value of a secret as it may be shown: of a URL the place, of
// all else only whether there is something.
func (f field) masked() any {
	switch v := f.initial.(type) {
	case string:
		if v == "" {
			return v
		}
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.Scheme == "" || u.Opaque != "" {
			return mask
		}
		shown := u.Scheme + "://"
		if u.User != nil {
			shown += mask + "@"
		}
		shown += u.Host + u.EscapedPath()
		if u.RawQuery != "" {
			shown += "?" + mask
		}
		return shown
	case []string:
		shown := make([]string, len(v))
		for i := range v {
			shown[i] = mask
		}
		return shown
	}
	return mask
}
