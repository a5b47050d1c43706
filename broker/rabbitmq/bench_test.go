package rabbitmq_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker"
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

// BenchmarkBus is the Bus beside amqp091 with confirms.
func BenchmarkBus(b *testing.B) {
	url := brokertest.Env(b, "CARILLON_TEST_RABBITMQ")
	brokertest.Bench(b, func(b *testing.B, n int) []broker.Driver {
		var ds []broker.Driver
		for range n {
			d, err := rabbitmq.Open(b.Context(), rabbitmq.Config{URL: url, Logger: silent})
			if err != nil {
				b.Fatal(err)
			}
			ds = append(ds, d)
		}
		return ds
	}, func(b *testing.B, name string, hear func([]byte)) func([]byte) error {
		conn, err := amqp.Dial(url)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		channel := func() *amqp.Channel {
			ch, err := conn.Channel()
			if err != nil {
				b.Fatal(err)
			}
			return ch
		}
		in, out := channel(), channel()
		q, err := in.QueueDeclare("", false, true, true, false, nil)
		if err == nil {
			err = in.QueueBind(q.Name, name, "amq.direct", false, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
		ds, err := in.Consume(q.Name, "", true, true, false, false, nil)
		if err != nil {
			b.Fatal(err)
		}
		go func() { // ends with conn
			for d := range ds {
				hear(d.Body)
			}
		}()
		if err := out.Confirm(false); err != nil {
			b.Fatal(err)
		}
		var mu sync.Mutex // a channel publishes one after the other
		return func(body []byte) error {
			mu.Lock()
			c, err := out.PublishWithDeferredConfirm("amq.direct", name, false, false, amqp.Publishing{Body: body})
			mu.Unlock()
			if err == nil && !c.Wait() {
				err = errors.New("not confirmed")
			}
			return err
		}
	})
}
