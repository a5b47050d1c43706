package bridge

import (
	"bytes"
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/carillonhq/carillon/broker"
)

type subscription struct {
	driver *driver
	sub    message.Subscriber
	cancel context.CancelFunc
	closed chan struct{}
	done   chan struct{} // run has ended

	once sync.Once
	err  error
}

func (s *subscription) run(c <-chan *message.Message, h broker.Handler) {
	defer close(s.done)
	for m := range c {
		select {
		case <-s.closed:
			// Some libraries wait for the acknowledgement even now.
		default:
			if len(m.Payload) > 0 {
				data := []byte(m.Payload)
				if !s.driver.opts.OwnPayload {
					data = bytes.Clone(data)
				}
				h(data)
			}
		}
		m.Ack()
	}
}

func (s *subscription) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.cancel()
		s.err = s.sub.Close()
		<-s.done
		s.driver.mu.Lock()
		delete(s.driver.subs, s)
		s.driver.mu.Unlock()
	})
	<-s.done
	return s.err
}

// KeepOpen returns s with a Close that does nothing, for a Subscriber that
// several subscriptions share. They end with their contexts then.
func KeepOpen(s message.Subscriber) message.Subscriber { return openSubscriber{s} }

type openSubscriber struct{ message.Subscriber }

func (openSubscriber) Close() error { return nil }

// KeepOpenPublisher is KeepOpen for a Publisher that several drivers share.
func KeepOpenPublisher(p message.Publisher) message.Publisher { return openPublisher{p} }

type openPublisher struct{ message.Publisher }

func (openPublisher) Close() error { return nil }
