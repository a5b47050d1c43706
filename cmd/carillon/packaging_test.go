package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	yamlnode "go.yaml.in/yaml/v3"
)

// A composition is what the tests look at of docker-compose.yml.
type composition struct {
	Services map[string]struct {
		Image       string
		Build       string
		Profiles    []string
		Ports       []string
		Volumes     []string
		Environment map[string]string
		Healthcheck *struct {
			Test []string
		}
	}
}

func readComposition(t *testing.T) (c composition) {
	t.Helper()
	data, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yamlnode.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// exact is a tag that names one release: three numbers, and a variant perhaps.
var exact = regexp.MustCompile(`^[a-z0-9./-]+:\d+\.\d+\.\d+(-[a-z0-9-]+)?$`)

func TestComposition(t *testing.T) {
	services := readComposition(t).Services
	for name, s := range services {
		if s.Build == "" && !exact.MatchString(s.Image) {
			t.Errorf("%s: the image %q is not pinned to a release", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: the port %q is open to the network", name, p)
			}
		}
		for _, v := range s.Volumes {
			file, _, _ := strings.Cut(v, ":")
			if _, err := os.Stat(filepath.Join("../..", file)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s.Build != "" { // one of ours: what it is given is a configuration
			var environ []string
			for k, v := range s.Environment {
				environ = append(environ, k+"="+v)
			}
			if _, err := loadConfig("", environ, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// What is started without a profile are the brokers, whose health is known.
	for _, name := range []string{"redis", "rabbitmq", "kafka"} {
		s, ok := services[name]
		if !ok || len(s.Profiles) > 0 || s.Healthcheck == nil || len(s.Healthcheck.Test) < 2 {
			t.Errorf("%s: got %+v, want it to start by itself, with a health check", name, s)
		}
	}
}

// The balancer knows the instances that the profile runs, at the port they
// listen on. (haproxy -c -f configs/haproxy.cfg checks the rest.)
func TestBalancer(t *testing.T) {
	data, err := os.ReadFile("../../configs/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	servers := regexp.MustCompile(`(?m)^\s*server (\S+) (\S+):3000 cookie`).FindAllStringSubmatch(string(data), -1)
	if len(servers) != 2 {
		t.Fatalf("got the servers %v, want two", servers)
	}
	services := readComposition(t).Services
	for _, s := range servers {
		if i, ok := services[s[2]]; !ok || i.Build == "" || s[1] != s[2] || i.Environment["CARILLON_SERVER__NODE"] != s[1] {
			t.Errorf("%s is no instance of docker-compose.yml", s[0])
		}
	}
	if got := services["balancer"].Volumes; len(got) != 1 || !strings.HasPrefix(got[0], "./configs/haproxy.cfg:") {
		t.Errorf("the balancer is given %v", got)
	}
}

// The image is the static binary and the authorities that it trusts, run by
// somebody who is not root.
func TestDockerfile(t *testing.T) {
	data, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	stages := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1)
	if n := len(stages); n == 0 || stages[n-1][1] != "scratch" {
		t.Errorf("got the stages %v, want the last to be empty", stages)
	}
	for _, s := range stages[:len(stages)-1] {
		if !regexp.MustCompile(`:\d+\.\d+`).MatchString(s[1]) {
			t.Errorf("the image %q is not pinned", s[1])
		}
	}
	for _, want := range []string{"CGO_ENABLED=0", "/etc/ssl/certs/ca-certificates.crt", "\nUSER 65532:65532\n", `ENTRYPOINT ["/carillon"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("it has no %q", want)
		}
	}
}
