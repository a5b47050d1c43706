package rabbitmq_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/rabbitmq"
)

// examine returns what is found, by check.
func examine(t *testing.T, url, cluster string) map[string]broker.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	d, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: url, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	found := map[string]broker.Finding{}
	for _, f := range d.(broker.Inspector).Examine(ctx, cluster) {
		if f.Verdict > broker.Unknown && f.Advice == "" {
			t.Errorf("%s: %q, without advice", f.Check, f.Text)
		}
		found[f.Check] = f
	}
	return found
}

func hold(t *testing.T, found map[string]broker.Finding, check string, want broker.Verdict, words string) {
	t.Helper()
	f := found[check]
	if f.Verdict != want || !strings.Contains(f.Text+"; "+f.Advice, words) {
		t.Errorf("%s: got %v, %q, %q; want %v with %q", check, f.Verdict, f.Text, f.Advice, want, words)
	}
}

// A broker as it comes is fine.
func TestExamine(t *testing.T) {
	url := brokertest.Env(t, "CARILLON_TEST_RABBITMQ")
	found := examine(t, url, brokertest.Prefix())
	for check, f := range found {
		if f.Verdict != broker.Fine {
			t.Errorf("%s: got %v, %q, %q, want it fine", check, f.Verdict, f.Text, f.Advice)
		}
	}
	if len(found) != 5 {
		t.Errorf("got %v", found)
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	hold(t, examine(t, url+separator+"heartbeat=0", brokertest.Prefix()), "heartbeat", broker.Doubtful, "leave heartbeat out")
}

// testExamine has every right missing in turn, then memory.
func (s *server) testExamine(t *testing.T) {
	as := func(user string) map[string]broker.Finding { return examine(t, s.url(user), "test-c") }
	hold(t, as("enough"), "permissions", broker.Fine, `^test-c\.`)
	hold(t, as("no-configure"), "permissions", broker.Failed, "may not configure queues")
	hold(t, as("no-read"), "permissions", broker.Failed, "may not read queues")
	hold(t, as("no-bind"), "permissions", broker.Failed, "may not write queues")
	hold(t, as("no-write"), "permissions", broker.Failed, "may not write amq.direct")
	hold(t, as("no-write"), "permissions", broker.Failed,
		`rabbitmqctl set_permissions -p / no-write '^test-c\.' '^(test-c\.|amq\.direct$)' '^(test-c\.|amq\.direct$)'`)
	if queues := s.ctl(t, "list_queues", "name"); strings.Contains(queues, ".doctor.") {
		t.Errorf("queues are left behind:\n%s", queues)
	}

	s.ctl(t, "set_vm_memory_high_watermark", "absolute", "1")
	defer s.ctl(t, "set_vm_memory_high_watermark", "absolute", "512MiB")
	begin := time.Now()
	hold(t, as("full"), "alarms", broker.Failed, "RabbitMQ takes no messages, as it is low on memory")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
}
