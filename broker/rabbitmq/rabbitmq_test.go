package rabbitmq_test

import (
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/rabbitmq"
)

func opener(t *testing.T) func(t *testing.T, n int) []broker.Driver {
	url := brokertest.Env(t, "CARILLON_TEST_RABBITMQ")
	return func(t *testing.T, n int) []broker.Driver {
		var ds []broker.Driver
		for range n {
			d, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			ds = append(ds, d)
		}
		return ds
	}
}

func TestContract(t *testing.T) { brokertest.Run(t, opener(t)) }

func TestBus(t *testing.T) { brokertest.RunBus(t, opener(t)) }
