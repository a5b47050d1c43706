package main

import (
	"regexp"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const envPrefix = "CARILLON_"

// environment adds the variables that other programs know too, and over them
// our own. An empty variable counts as unset, as compose files and unit files
// produce them. A variable that begins like ours and is none is refused: it
// is a typing error that would otherwise go unnoticed.
func (l *loader) environment(environ []string) {
	l.variables(environ, func(variable, _ string) string { return customary[variable] })
	l.variables(environ, ownKey)
}

// customary are the variables that other programs know too.
var customary = map[string]string{
	"REDIS_URL": "broker.redis.url", "REDIS_PASSWORD": "broker.redis.password",
	"KAFKA_BROKERS": "broker.kafka.brokers",
	"RABBITMQ_URL":  "broker.rabbitmq.url", "RABBITMQ_PASSWORD": "broker.rabbitmq.password",
}

// ownKey is the key that a variable of ours sets, or empty if it is none.
func ownKey(variable, value string) string {
	if !strings.HasPrefix(variable, envPrefix) || foreign.MatchString(variable+"="+value) {
		return ""
	}
	key := strings.TrimPrefix(variable, envPrefix)
	if key != strings.ToUpper(key) {
		return key // in a spelling that no key has
	}
	return strings.ToLower(strings.ReplaceAll(key, "__", "."))
}

// variable is where the value of an environment variable was written.
func (l *loader) variable(name string) origin {
	if file := l.files[name]; file != "" {
		return origin{source: "environment variable " + name + fileSuffix + ", file " + file}
	}
	return origin{source: "environment variable " + name}
}

// foreign are the variables that begin like ours and are for others: those of
// the project's tests, and those that Kubernetes sets in every pod beside a
// Service named carillon or carillon-something (its documentation, Service,
// "Environment variables").
var foreign = regexp.MustCompile(`^CARILLON_(TEST_\w*=` +
	`|(\w+_)?SERVICE_(HOST|PORT|PORT_\w+)=` +
	`|(\w+_)?PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=` +
	`|(\w+_)?PORT=(tcp|udp|sctp)://)`)

// variables adds those for which keyOf has a key.
func (l *loader) variables(environ []string, keyOf func(variable, value string) string) {
	variables := map[string]string{}
	provider := env.Provider("", env.Opt{
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(variable, value string) (string, any) {
			if value == "" {
				return "", nil
			}
			key := keyOf(variable, value)
			variables[key] = variable
			return key, value
		},
	})
	values, err := provider.Read()
	if err != nil {
		l.problems = append(l.problems, err)
	}
	l.add(source{
		values: values,
		text:   true,
		at:     func(key string) origin { return l.variable(variables[key]) },
		spell:  variable,
	})
}

// variable is the name of a key in the environment.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// flags adds the flags that were given, by the key that each stands for.
func (l *loader) flags(given map[string]string) {
	values := map[string]any{}
	for key, v := range given {
		values[key] = v
	}
	l.add(source{
		values: values,
		text:   true,
		at:     func(key string) origin { return origin{source: "flag --" + flagOf[key]} },
		spell:  func(key string) string { return "--" + flagOf[key] },
	})
}
