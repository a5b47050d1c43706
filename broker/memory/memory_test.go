package memory_test

import (
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/memory"
)

func open(_ *testing.T, n int) []broker.Driver {
	hub := memory.NewHub()
	var ds []broker.Driver
	for range n {
		ds = append(ds, hub.Driver())
	}
	return ds
}

func TestContract(t *testing.T) { brokertest.Run(t, open) }

func TestBus(t *testing.T) { brokertest.RunBus(t, open) }
