package memory

import (
	"context"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// queueBound is how many bytes wait for one subscriber before its publishers
// have to wait too.
const queueBound = 16 << 20

type subscription struct {
	driver  *driver
	topic   string
	handler broker.Handler
	more    chan struct{} // tells run that there is something
	closed  chan struct{}
	done    chan struct{} // run has ended

	once sync.Once

	mu    sync.Mutex // guards what follows
	queue [][]byte
	bytes int
	room  chan struct{} // closed when the queue is taken, if a publisher waits
}

func newSubscription(d *driver, topic string, h broker.Handler) *subscription {
	return &subscription{
		driver: d, topic: topic, handler: h,
		more: make(chan struct{}, 1), closed: make(chan struct{}), done: make(chan struct{}),
	}
}

// put queues data, once there is room.
func (s *subscription) put(ctx context.Context, closed <-chan struct{}, data []byte) error {
	for {
		s.mu.Lock()
		if s.bytes < queueBound {
			s.queue = append(s.queue, data)
			s.bytes += len(data)
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
			return nil
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-s.closed:
			return nil // nobody is there to hear it
		case <-closed:
			return broker.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *subscription) run() {
	defer close(s.done)
	for {
		select {
		case <-s.more:
		case <-s.closed:
			return
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for i, data := range queue {
			select {
			case <-s.closed:
				return
			default:
			}
			s.handler(data)
			queue[i] = nil
			s.mu.Lock()
			s.bytes -= len(data)
			if s.room != nil && s.bytes < queueBound {
				close(s.room)
				s.room = nil
			}
			s.mu.Unlock()
		}
	}
}

func (s *subscription) Close() error {
	s.once.Do(func() {
		s.driver.remove(s)
		close(s.closed)
	})
	<-s.done
	return nil
}
