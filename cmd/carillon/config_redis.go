package main

import (
	"net/url"
	"strconv"
	"strings"
)

func (l *loader) checkRedis(r Redis) {
	l.unless(redisURL(r.URL), "broker.redis.url",
		"expected redis://[user:password@]host[:port][/database] or rediss://… (what was given may hold a password and is not shown)")
	l.unless(r.MaxLen > 0, "broker.redis.max_len", "expected 1 or more, got %d", r.MaxLen)
	for _, addr := range r.Addrs {
		l.unless(listenable(addr) && !strings.HasPrefix(addr, ":"), "broker.redis.addrs", "expected host:port, got %q", addr)
	}
	switch r.Mode {
	case "standalone":
		if len(r.Addrs) > 0 {
			l.clash("broker.redis.addrs", r.Addrs, "cannot go with", "cannot go with", "broker.redis.mode", r.Mode)
		}
	case "cluster":
		if u, err := url.Parse(r.URL); err == nil && strings.Trim(u.Path, "/0") != "" {
			l.unless(false, "broker.redis.url", "names a database, and a Redis Cluster has none but 0 (what was given may hold a password and is not shown)")
		}
	case "sentinel":
		if r.Sentinel.Master == "" {
			l.clash("broker.redis.mode", r.Mode, "needs", "is needed by", "broker.redis.sentinel.master", "")
		}
	}
	for key, value := range map[string]string{"master": r.Sentinel.Master, "user": r.Sentinel.User, "password": r.Sentinel.Password} {
		if key = "broker.redis.sentinel." + key; value != "" && r.Mode != "sentinel" {
			l.unless(false, key, "set without broker.redis.mode sentinel, and so never used")
		}
	}
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") {
		l.clash("broker.redis.tls.cert_file", r.TLS.CertFile, "goes only together with", "goes only together with", "broker.redis.tls.key_file", r.TLS.KeyFile)
	}
	for key, file := range map[string]string{"ca_file": r.TLS.CAFile, "cert_file": r.TLS.CertFile} {
		if key = "broker.redis.tls." + key; file != "" && redisURL(r.URL) && !strings.HasPrefix(r.URL, "rediss:") {
			l.unless(false, key, "set without rediss:// in broker.redis.url, and so never used")
		}
	}
}

// redisURL reports whether raw is an address of a Redis. Parsers quote what
// they refuse, so that their errors are not passed on.
func redisURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" {
		return false
	}
	database := strings.Trim(u.Path, "/")
	_, err = strconv.ParseUint(database, 10, 16)
	return u.Host != "" && (database == "" || err == nil)
}
