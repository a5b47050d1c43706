package main_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	redisdriver "github.com/carillonhq/carillon/broker/redis"
)

// A diagnosis is what doctor reports to machines.
type diagnosis struct {
	Checks []struct{ Check, Verdict, Text, Advice string }
	Trip   struct {
		Messages int     `json:"messages"`
		P50      float64 `json:"p50_ms"`
		P99      float64 `json:"p99_ms"`
	} `json:"round_trip"`
	Nodes    []string
	Problems int
}

// diagnose runs doctor, which has to end with the code.
func diagnose(t *testing.T, code int, environ ...string) diagnosis {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), serverBinary(), "doctor", "--json", "--listen", "127.0.0.1:0")
	cmd.Env = append(ourEnviron(), environ...)
	out, err := cmd.Output()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var d diagnosis
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got != code {
		t.Fatalf("got code %d, want %d: %s", got, code, out)
	}
	return d
}

// find returns the verdict on one check, and all that is said about it.
func (d diagnosis) find(check string) (verdict, text string) {
	for _, c := range d.Checks {
		if c.Check == check {
			return c.Verdict, c.Text + "; " + c.Advice
		}
	}
	return "", ""
}

// Over every broker as it comes a cluster works, and its figures are told.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for driver, variables := range map[string][]string{
		"redis":    {"REDIS_URL", "CARILLON_TEST_REDIS"},
		"rabbitmq": {"RABBITMQ_URL", "CARILLON_TEST_RABBITMQ"},
		"kafka":    {"KAFKA_BROKERS", "CARILLON_TEST_KAFKA"},
	} {
		t.Run(driver, func(t *testing.T) {
			d := diagnose(t, 0, variables[0]+"="+brokertest.Env(t, variables[1]), "CARILLON_BROKER__DRIVER="+driver,
				"CARILLON_BROKER__CLUSTER="+brokertest.Prefix(), "CARILLON_BROKER__HEARTBEAT=200ms",
				"CARILLON_BROKER__KAFKA__TOPIC=carillon-e2e", "CARILLON_BROKER__KAFKA__RETENTION=1m")
			for _, check := range []string{"connection", "permissions", "version", "delivery", "nodes"} {
				if verdict, text := d.find(check); verdict != "ok" {
					t.Errorf("%s: got %q, %s", check, verdict, text)
				}
			}
			if d.Trip.Messages != 200 || d.Trip.P50 <= 0 || d.Trip.P99 < d.Trip.P50 {
				t.Errorf("got %+v, want the times of 200 messages", d.Trip)
			}
			t.Logf("%s: there and back p50 %.2f ms, p99 %.2f ms", driver, d.Trip.P50, d.Trip.P99)
			if len(d.Nodes) > 0 {
				t.Errorf("got the nodes %v, want none in a new cluster", d.Nodes)
			}
		})
	}
}

// A cluster that runs is seen, and does not notice.
func TestDoctorIsNotNoticed(t *testing.T) {
	url, cluster := testRedis(t), "e2e-"+strings.ToLower(rand.Text())
	var noticed atomic.Int32
	bus, err := broker.Open(t.Context(), func(ctx context.Context) (broker.Driver, error) {
		return redisdriver.Open(ctx, redisdriver.Config{URL: url})
	}, broker.Options{Cluster: cluster, Hooks: broker.Hooks{
		Received: func(int, int) { noticed.Add(1) },
		Dropped:  func(broker.DropReason, int) { noticed.Add(1) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	d := diagnose(t, 0, "REDIS_URL="+url, "CARILLON_BROKER__DRIVER=redis", "CARILLON_BROKER__CLUSTER="+cluster)
	if want := bus.Self().ID.Short(); len(d.Nodes) != 1 || d.Nodes[0] != want {
		t.Errorf("got the nodes %v, want %s", d.Nodes, want)
	}
	if n := noticed.Load(); n > 0 {
		t.Errorf("the node heard of doctor %d times", n)
	}
}

// A user of Redis who lacks something is told what to grant, and with it all
// is well: also with the prefix of the cluster alone.
func TestDoctorRights(t *testing.T) {
	r := newRedis(t)
	r.say(t, "ACL SETUSER app on >hunter2 ~carillon.* +ping +xadd +xread +expire +acl|whoami")
	environ := []string{"REDIS_URL=redis://app:hunter2@" + r.addr, "CARILLON_BROKER__DRIVER=redis", "CARILLON_BROKER__HEARTBEAT=100ms"}
	d := diagnose(t, 1, environ...)
	verdict, text := d.find("permissions")
	if grant := "ACL SETUSER app +xinfo|stream"; verdict != "fail" || !strings.Contains(text, grant) {
		t.Errorf("got %q, %s; want %q", verdict, text, grant)
	}
	if verdict, _ := d.find("round trip"); verdict != "skip" {
		t.Errorf("the round trip is %q, want it left out", verdict)
	}
	r.say(t, "ACL SETUSER app +xinfo|stream")
	diagnose(t, 0, environ...)
	r.say(t, "CONFIG SET maxmemory 1")
	if verdict, text := diagnose(t, 1, environ...).find("permissions"); !strings.Contains(text, "is out of memory: raise its maxmemory") {
		t.Errorf("got %q, %s", verdict, text)
	}
}

// say has the Redis do something.
func (r *redis) say(t *testing.T, command string) {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\n", command)
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "+OK\r\n" {
		t.Fatalf("%s: got %q, %v", command, answer, err)
	}
}
