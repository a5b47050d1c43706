package main

import (
	"fmt"
	"strings"
	"testing"
)

// What concerns a way to run Redis that is not configured is refused, as it
// would be ignored otherwise.
func TestRedisModes(t *testing.T) {
	const (
		unused   = "set without broker.redis.mode sentinel, and so never used"
		plain    = "set without rediss:// in broker.redis.url, and so never used"
		together = `x.yaml:1: broker.redis.tls.cert_file ("a.pem") goes only together with broker.redis.tls.key_file ("", default)`
	)
	for section, want := range map[string]string{
		"{mode: flock}":                                               `x.yaml:1: broker.redis.mode: expected one of standalone, cluster, sentinel, got "flock"`,
		"{mode: cluster, addrs: [a]}":                                 `x.yaml:1: broker.redis.addrs: expected host:port, got "a"`,
		"{addrs: ['a:1']}":                                            `x.yaml:1: broker.redis.addrs ([a:1]) cannot go with broker.redis.mode ("standalone", default)`,
		"{mode: cluster, url: 'redis://h/1'}":                         "x.yaml:1: broker.redis.url: names a database",
		"{mode: sentinel}":                                            `x.yaml:1: broker.redis.mode ("sentinel") needs broker.redis.sentinel.master ("", default)`,
		"{sentinel: {master: m}}":                                     "x.yaml:1: broker.redis.sentinel.master: " + unused,
		"{sentinel: {user: u}}":                                       "x.yaml:1: broker.redis.sentinel.user: " + unused,
		"{mode: cluster, sentinel: {password: s3cret}}":               "x.yaml:1: broker.redis.sentinel.password: " + unused,
		"{tls: {ca_file: a.pem}}":                                     "x.yaml:1: broker.redis.tls.ca_file: " + plain,
		"{tls: {cert_file: a.pem, key_file: b.pem}}":                  "x.yaml:1: broker.redis.tls.cert_file: " + plain,
		"{url: 'rediss://h', tls: {cert_file: a.pem}}":                together,
		"{mode: cluster, addrs: ['a:1', 'b:2'], url: 'redis://h/0'}":  "",
		"{mode: sentinel, sentinel: {master: m}, url: 'redis://h/3'}": "",
		"{url: 'rediss://h', tls: {ca_file: a.pem}}":                  "",
	} {
		l := newLoader()
		l.yaml("x.yaml", []byte("broker: {driver: redis, redis: "+section+"}"))
		_, err := l.config()
		got := fmt.Sprint(err)
		if want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %q in it", section, got, want)
		}
		if strings.Contains(got, "s3cret") {
			t.Errorf("%s: the error shows the password: %s", section, got)
		}
	}
}
