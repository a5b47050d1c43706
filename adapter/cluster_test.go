package adapter_test

import (
	"testing"

	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

func TestClusterInBubble(t *testing.T) {
	adaptertest.RunClusterInBubble(t, func(_ *testing.T, n int) []broker.Driver {
		hub := memory.NewHub()
		drivers := make([]broker.Driver, n)
		for i := range drivers {
			drivers[i] = hub.Driver()
		}
		return drivers
	})
}
