package main

import (
	"crypto/rand"
	"os"
	"regexp"
	"strings"
)

// validName is what nodes and clusters may be called: it becomes a part of
// topics, keys and log lines, and every broker takes these characters.
var validName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

const (
	maxNodeName    = 128
	maxClusterName = 64
)

// randomNode names a node that was given no name: the host's name, because
// that is what an operator searches for, and a suffix, because a host may run
// several nodes and a restarted one is a new node to its peers.
func randomNode() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	host = strings.Map(func(r rune) rune {
		if validName.MatchString(string(r)) {
			return r
		}
		return '-'
	}, host)
	suffix := "-" + strings.ToLower(rand.Text()[:6])
	return host[:min(len(host), maxNodeName-len(suffix))] + suffix
}
