package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
		Grace       time.Duration `yaml:"stop_grace_period"`
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
			cfg, err := loadConfig("", environ, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if s.Grace <= stopTime(cfg) {
				t.Errorf("%s: it has %v to stop, and may need %v", name, s.Grace, stopTime(cfg))
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
	servers := regexp.MustCompile(`(?m)^\s*server (\S+) (\S+):3000$`).FindAllStringSubmatch(string(data), -1)
	if len(servers) != 2 {
		t.Fatalf("got the servers %v, want two", servers)
	}
	services := readComposition(t).Services
	for _, s := range servers {
		if i, ok := services[s[2]]; !ok || i.Build == "" || s[1] != s[2] || i.Environment["CARILLON_SERVER__NODE"] != s[1] {
			t.Errorf("%s is no instance of docker-compose.yml", s[0])
		}
	}
	if !strings.Contains(string(data), "\n\toption httpchk GET /readyz\n") {
		t.Error("it does not ask whether an instance is ready")
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

// The example for production says what differs from the defaults and nothing
// else, and leaves secrets out.
func TestProduction(t *testing.T) {
	l := load("../../configs/production.yaml", nil, nil)
	cfg, err := l.config()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Server.Page || cfg.Broker.Driver == "memory" || cfg.Log.Format != "json" {
		t.Errorf("got %+v, want no page, a broker and logs for a collector", cfg)
	}
	if p := cfg.Permissions; cfg.Auth.Mode == "none" || len(p.Rooms) > 0 || p.Message || p.Broadcast || p.Presence {
		t.Errorf("got auth.mode %s and %+v, want it closed", cfg.Auth.Mode, p)
	}
	for _, f := range fieldsOf(cfg) {
		if _, set := l.origins[f.key]; !set || !f.secret {
			continue
		}
		if u, err := url.Parse(f.initialText()); err != nil || u.Host == "" || strings.Contains(u.User.String(), ":") {
			t.Errorf("%s is a secret, which has no place there", f.key)
		}
	}
}

// stopTime is how long a node may take to end: clients move, for a second at
// most behind the period; connections end; and a back end is told the rest.
func stopTime(cfg Config) time.Duration {
	s := cfg.Server
	return s.Drain.Delay + s.Drain.Period + time.Second + 2*s.ShutdownTimeout
}

// What Kubernetes gives a container is a command line, files and variables
// that serve takes.
func TestKubernetes(t *testing.T) {
	data, err := os.ReadFile("../../configs/kubernetes/carillon.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config string
	var containers int
	decoder := yamlnode.NewDecoder(bytes.NewReader(data))
	for {
		var object struct {
			Kind string
			Data map[string]string
			Spec struct {
				Template struct {
					Spec struct {
						Grace      int `yaml:"terminationGracePeriodSeconds"`
						Containers []struct {
							Image string
							Args  []string
							Env   []struct{ Name, Value string }
							Ports []struct {
								Name          string
								ContainerPort int `yaml:"containerPort"`
							}
							Readiness struct {
								HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
								Period  int                         `yaml:"periodSeconds"`
							} `yaml:"readinessProbe"`
						}
					}
				}
			}
		}
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if object.Kind == "ConfigMap" {
			config = object.Data["carillon.yaml"]
		}
		pod := object.Spec.Template.Spec
		for _, c := range pod.Containers {
			containers++
			t.Chdir(t.TempDir())
			if err := os.WriteFile("redis-password", []byte("hunter2\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("carillon.yaml", []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			environ := []string{"CARILLON_PORT=tcp://10.0.0.1:80"} // as links of services are
			for _, v := range c.Env {
				environ = append(environ, v.Name+"="+strings.TrimPrefix(v.Value, "/run/secrets/carillon/"))
			}
			flags := newSettingFlags("serve")
			if c.Args[0] != "serve" || flags.Parse(c.Args[1:]) != nil || *flags.file != "/etc/carillon/carillon.yaml" {
				t.Errorf("serve is called with %v", c.Args)
			}
			cfg, err := loadConfig("carillon.yaml", environ, flags.given())
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Broker.Redis.Password != "hunter2" || cfg.Server.Listen != fmt.Sprintf(":%d", c.Ports[0].ContainerPort) {
				t.Errorf("got %+v, want the password, and the port of the container", cfg)
			}
			if given := time.Duration(pod.Grace) * time.Second; given <= stopTime(cfg) {
				t.Errorf("it has %v to stop, and may need %v", given, stopTime(cfg))
			}
			// A probe counts as failed three times by default.
			r := c.Readiness
			if seen := time.Duration(3*r.Period) * time.Second; r.HTTPGet.Path != "/readyz" || cfg.Server.Drain.Delay <= seen {
				t.Errorf("it looks at %s every %ds, and clients move after %v", r.HTTPGet.Path, r.Period, cfg.Server.Drain.Delay)
			}
			if at := fmt.Sprintf(":%d", c.Ports[1].ContainerPort); r.HTTPGet.Port != c.Ports[1].Name || cfg.Metrics.Listen != at {
				t.Errorf("it looks at the port %s, which is %s, and health is at %s", r.HTTPGet.Port, at, cfg.Metrics.Listen)
			}
			if !exact.MatchString(c.Image) {
				t.Errorf("the image %q is not pinned to a release", c.Image)
			}
		}
	}
	if containers != 1 {
		t.Errorf("got %d containers, want one", containers)
	}
}

// The unit calls commands that there are.
func TestUnit(t *testing.T) {
	data, err := os.ReadFile("../../configs/systemd/carillon.service")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`(?m)^Exec\w+=/usr/local/bin/carillon (.*)$`).FindAllStringSubmatch(string(data), -1)
	if len(calls) != 2 {
		t.Fatalf("got %v, want a check and the server", calls)
	}
	for _, call := range calls {
		var out strings.Builder
		if code := command(t.Context(), append(strings.Fields(call[1]), "--help"), nil, &out, &out); code != exitOK {
			t.Errorf("%s: got code %d, %s", call[1], code, out.String())
		}
	}
	limit := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(string(data))
	cfg, err := loadConfig("../../configs/production.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := time.ParseDuration(limit[1]); err != nil || d <= stopTime(cfg) {
		t.Errorf("it has %v to stop, %v, and may need %v", limit[1], err, stopTime(cfg))
	}
}
