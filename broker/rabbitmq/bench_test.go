package rabbitmq_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/rabbitmq"
)

// BenchmarkPublish is one publish of 150 bytes, confirmed, by callers that
// each have a topic of their own; the subscriber of one of them keeps up.
func BenchmarkPublish(b *testing.B) {
	url := brokertest.Env(b, "CARILLON_TEST_RABBITMQ")
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprint(callers, "-callers"), func(b *testing.B) {
			d, err := rabbitmq.Open(b.Context(), rabbitmq.Config{URL: url, Logger: silent})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			prefix, data := brokertest.Prefix(), make([]byte, 150)
			heard := make(chan struct{}, 1<<10)
			if _, err := d.Subscribe(b.Context(), prefix+".0", func([]byte) { heard <- struct{}{} }); err != nil {
				b.Fatal(err)
			}
			turns := make(chan int)
			var wg sync.WaitGroup
			for i := range callers {
				topic := fmt.Sprint(prefix, ".", i)
				wg.Go(func() { // ends when turns is closed
					for range turns {
						if err := d.Publish(b.Context(), topic, data); err != nil {
							b.Error(err)
						}
						if i == 0 {
							<-heard
						}
					}
				})
			}
			for b.Loop() {
				turns <- 0
			}
			close(turns)
			wg.Wait()
		})
	}
}
