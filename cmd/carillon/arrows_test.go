package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/carillonhq/carillon"

// arrows are the imports within the module: each package, and what it may
// see. They run down the stair
//
//	cmd → transport → adapter → presence → broker
//
// where a step may be skipped, and a package that is not here has no place on
// it. Patterns are those of path.Match. Tests are exempt.
var arrows = map[string][]string{
	// cmd wires everything, and alone names the drivers.
	"cmd/carillon": {"cmd/carillon/internal/*", "transport/socketio", "transport/socketio/admin", "transport/engineio", "transport/peers", "adapter", "presence", "broker", "broker/memory", "broker/bridge", "broker/redis", "broker/rabbitmq", "broker/kafka"},

	// What the server has beside wiring knows little of ours.
	"cmd/carillon/internal/announce": {"transport/socketio", "adapter", "presence"},
	"cmd/carillon/internal/auth":     {"cmd/carillon/internal/glob", "cmd/carillon/internal/sign"},
	"cmd/carillon/internal/edge":     {"presence", "broker"},
	"cmd/carillon/internal/console":  {"transport/socketio", "presence", "broker"},
	"cmd/carillon/internal/front":    {"cmd/carillon/internal/glob"},
	"cmd/carillon/internal/glob":     {},
	"cmd/carillon/internal/limit":    {},
	"cmd/carillon/internal/sign":     {},
	"cmd/carillon/internal/trace":    {"transport/socketio", "adapter"},

	// The load generator knows the servers by the wire alone.
	"cmd/carillon/internal/bench": {},

	// What only the command shows to those who run it.
	"cmd/carillon/internal/api":     {"transport/socketio", "adapter", "broker"},
	"cmd/carillon/internal/health":  {},
	"cmd/carillon/internal/metrics": {"cmd/carillon/internal/announce", "cmd/carillon/internal/auth", "cmd/carillon/internal/limit", "cmd/carillon/internal/webhook", "presence", "transport/socketio", "transport/engineio", "transport/websocket", "transport/polling", "adapter", "broker"},
	"cmd/carillon/internal/webhook": {"cmd/carillon/internal/sign"},

	// Inside transport: socketio → engineio → websocket, polling → transport,
	// and only socketio looks further down.
	"transport/socketio":  {"transport/engineio", "transport", "adapter", "presence", "broker"},
	"transport/engineio":  {"transport/websocket", "transport/polling", "transport"},
	"transport/websocket": {"transport"},

	// What joins Servers of Engine.IO sees the bus; they do not.
	"transport/peers":   {"transport/engineio", "broker"},
	"transport/polling": {"transport"},
	"transport":         {},

	// The Admin UI's namespace is an application of socketio.
	"transport/socketio/admin": {"transport/socketio", "transport/engineio", "adapter"},

	"adapter":  {"presence", "broker"},
	"presence": {"broker"},

	// Drivers hang on the port; no driver sees another.
	"broker":          {"broker/internal/*"},
	"broker/bridge":   {"broker"},
	"broker/memory":   {"broker"},
	"broker/redis":    {"broker/bridge", "broker", "broker/internal/*"},
	"broker/rabbitmq": {"broker/bridge", "broker", "broker/internal/*"},
	"broker/kafka":    {"broker/bridge", "broker", "broker/internal/*"},

	// What only drivers share.
	"broker/internal/links": {"broker"},

	// Contracts see the interface that they are about, and what its words are
	// made of; a test client sees nothing of ours.
	"transport/socketio/socketiotest": {},
	"transport/transporttest":         {"transport"},
	"adapter/adaptertest":             {"adapter", "presence", "broker"},
	"broker/brokertest":               {"broker"},
}

// homes are the libraries that stay behind one package of ours: each, and who
// may see it.
var homes = map[string][]string{
	"github.com/ThreeDotsLabs":      {"broker/bridge", "broker/redis", "broker/rabbitmq", "broker/kafka"},
	"github.com/redis/go-redis":     {"broker/redis"},
	"github.com/rabbitmq":           {"broker/rabbitmq"},
	"github.com/IBM/sarama":         {"broker/kafka"},
	"github.com/xdg-go":             {"broker/kafka"},
	"github.com/lxzan/gws":          {"transport/websocket"},
	"github.com/coder/websocket":    {"transport/socketio/socketiotest"}, // a client for tests
	"github.com/knadh/koanf":        {"cmd/*"},
	"github.com/spf13/pflag":        {"cmd/*"},
	"go.yaml.in/yaml":               {"cmd/*"},
	"golang.org/x/term":             {"cmd/*"},
	"golang.org/x/crypto":           {"transport/socketio/admin"},
	"github.com/golang-jwt/jwt":     {"cmd/carillon/internal/auth"},
	"github.com/MicahParks":         {"cmd/carillon/internal/auth"},
	"github.com/sony/gobreaker":     {"cmd/carillon/internal/auth"},
	"golang.org/x/time":             {"cmd/carillon/internal/limit"},
	"github.com/HdrHistogram":       {"cmd/carillon/internal/bench"},
	"go.opentelemetry.io":           {"cmd/carillon/internal/trace"},
	"github.com/rogpeppe":           {}, // for tests
	"github.com/santhosh-tekuri":    {}, // for tests
	"github.com/prometheus":         {"cmd/carillon/internal/metrics"},
	"github.com/klauspost/compress": {"broker", "broker/*"},
}

// alone are the packages that import the standard library and these alone.
var alone = map[string][]string{
	"broker":        {"github.com/klauspost/compress"},
	"broker/memory": {},
	"presence":      {},
	"adapter":       {},
	"transport":     {},
}

// forbidden says what is wrong with pkg importing imp, or nothing. pkg is a
// path within the module, imp any import path.
func forbidden(pkg, imp string) string {
	own, isOurs := strings.CutPrefix(imp, module+"/")
	switch {
	case isOurs:
		if !matches(arrows[pkg], own) {
			return fmt.Sprintf("%s must not import %s", pkg, own)
		}
	case !strings.Contains(strings.SplitN(imp, "/", 2)[0], "."):
		return "" // the standard library
	default:
		for library, ours := range homes {
			if within(imp, library) && !matches(ours, pkg) {
				return fmt.Sprintf("%s must not import %s, which is for %v", pkg, imp, ours)
			}
		}
		if allowed, ok := alone[pkg]; ok && !slices.ContainsFunc(allowed, func(a string) bool { return within(imp, a) }) {
			return fmt.Sprintf("%s must not import %s, but the standard library and %v", pkg, imp, allowed)
		}
	}
	return ""
}

// matches reports whether one of the patterns is name's.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// within reports whether imp is a package of the library, at any version.
func within(imp, library string) bool {
	return imp == library || strings.HasPrefix(imp, library+"/")
}

// The arrows of the module as it is.
func TestArrows(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,GoFiles", "./...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Skipf("go list cannot run: %v", err)
	}
	seen := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath       string
			Imports, GoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(p.ImportPath, module+"/")
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		seen[pkg] = true
		if _, ok := arrows[pkg]; !ok && !matches([]string{"broker/internal/*"}, pkg) {
			t.Errorf("%s has no place in the table of arrows", pkg)
			continue
		}
		for _, imp := range p.Imports {
			if what := forbidden(pkg, imp); what != "" {
				t.Error(what)
			}
		}
	}
	if !seen["cmd/carillon"] || !seen["broker"] || !seen["transport"] {
		t.Errorf("got only %v: the list is not of this module", slices.Sorted(maps.Keys(seen)))
	}
}

// The table forbids what it is there to forbid, and no more.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		pkg, imp string
		allowed  bool
	}{
		{"cmd/carillon", module + "/broker/redis", true},
		{"cmd/carillon", module + "/transport/socketio", true},
		{"cmd/carillon", "github.com/knadh/koanf/v2", true},
		{"transport/socketio", module + "/broker", true},
		{"transport/websocket", "github.com/lxzan/gws", true},
		{"broker/redis", "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream", true},
		{"broker/rabbitmq", "github.com/rabbitmq/amqp091-go", true},
		{"broker/kafka", "github.com/IBM/sarama", true},
		{"broker", "github.com/klauspost/compress/s2", true},
		{"broker", "encoding/json", true},

		{"adapter", module + "/transport", false},         // up the stair
		{"broker", module + "/presence", false},           // up the stair
		{"broker", module + "/broker/redis", false},       // the port sees no driver
		{"broker/redis", module + "/broker/kafka", false}, // a driver another
		{"adapter", module + "/broker/memory", false},     // only cmd names drivers
		{"transport/socketio", module + "/broker/redis", false},
		{"transport/engineio", module + "/adapter", false}, // only socketio sees adapter
		{"transport/engineio", module + "/transport/socketio", false},
		{"transport/polling", module + "/transport/websocket", false},
		{"cmd/carillon", module + "/broker/brokertest", false},
		{"cmd/carillon", module + "/transport/websocket", false},
		{"util", module + "/broker", false}, // no place on the stair
		{"adapter", "github.com/ThreeDotsLabs/watermill/message", false},
		{"broker/bridge", "github.com/redis/go-redis/v9", false},
		{"cmd/carillon", "github.com/rabbitmq/amqp091-go", false},
		{"cmd/carillon", "github.com/IBM/sarama", false},
		{"transport/engineio", "github.com/lxzan/gws", false},
		{"broker/redis", "github.com/knadh/koanf/v2", false},
		{"cmd/carillon", "github.com/lxzan/gws", false},
		{"adapter", "go.opentelemetry.io/otel/trace", false},
		{"broker", "github.com/google/uuid", false}, // the standard library and a compressor
		{"broker", "github.com/klauspost/compressor", false},
	} {
		if got := forbidden(c.pkg, c.imp); (got == "") != c.allowed {
			t.Errorf("%s → %s: got %q, want it allowed: %v", c.pkg, c.imp, got, c.allowed)
		}
	}
}
