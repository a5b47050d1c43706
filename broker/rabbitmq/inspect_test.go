package rabbitmq_test

import (
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/rabbitmq"
)

func examine(t *testing.T, url, cluster string) brokertest.Findings {
	t.Helper()
	d, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: url, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	return brokertest.Examine(t, d, cluster)
}

// A broker as it comes is fine.
func TestExamine(t *testing.T) {
	url := brokertest.Env(t, "CARILLON_TEST_RABBITMQ")
	found := examine(t, url, brokertest.Prefix())
	found.WantFine(t, 5)
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	examine(t, url+separator+"heartbeat=0", brokertest.Prefix()).Want(t, "heartbeat", broker.Doubtful, "leave heartbeat out")
}

// testExamine has every right missing in turn, then memory.
func (s *server) testExamine(t *testing.T) {
	as := func(user string) brokertest.Findings { return examine(t, s.url(user), "test-c") }
	as("enough").Want(t, "permissions", broker.Fine, `^test-c\.`)
	as("no-configure").Want(t, "permissions", broker.Failed, "may not configure queues")
	as("no-read").Want(t, "permissions", broker.Failed, "may not read queues")
	as("no-bind").Want(t, "permissions", broker.Failed, "may not write queues")
	as("no-write").Want(t, "permissions", broker.Failed, "may not write amq.direct")
	as("no-write").Want(t, "permissions", broker.Failed,
		`rabbitmqctl set_permissions -p / no-write '^test-c\.' '^(test-c\.|amq\.direct$)' '^(test-c\.|amq\.direct$)'`)
	if queues := s.ctl(t, "list_queues", "name"); strings.Contains(queues, ".doctor.") {
		t.Errorf("queues are left behind:\n%s", queues)
	}

	s.ctl(t, "set_vm_memory_high_watermark", "absolute", "1")
	defer s.ctl(t, "set_vm_memory_high_watermark", "absolute", "512MiB")
	begin := time.Now()
	as("full").Want(t, "alarms", broker.Failed, "RabbitMQ takes no messages, as it is low on memory")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
}
