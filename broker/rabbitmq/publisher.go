package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// A publisher is a message.Publisher over one connection at a time, which it
// makes again by the policy. While there is none, or RabbitMQ accepts nothing,
// Publish fails at once: the Bus retries.
type publisher struct {
	cfg   *Config
	addr  string
	links *links.Links
	seed  maphash.Seed
	lanes [lanes]chan *lane // each holds its lane while nobody uses it

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // run has ended
	once   sync.Once

	mu      sync.Mutex // guards what follows
	session *session   // nil while the connection is lost
	err     error      // why nothing can be published
}

func openPublisher(ctx context.Context, cfg *Config, addr string, l *links.Links) (*publisher, error) {
	s, err := dial(ctx, cfg, "carillon publisher")
	if err != nil {
		return nil, explain(addr, err)
	}
	p := &publisher{cfg: cfg, addr: addr, links: l, seed: maphash.MakeSeed(), done: make(chan struct{}), session: s}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for i := range p.lanes {
		p.lanes[i] = make(chan *lane, 1)
		p.lanes[i] <- new(lane)
	}
	go p.run(s) // ends with Close
	return p, nil
}

// usable returns the session, unless it is known that a publish would fail.
func (p *publisher) usable() (*session, error) {
	p.mu.Lock()
	s, err := p.session, p.err
	p.mu.Unlock()
	if err != nil && s != nil {
		p.links.Failed(links.Publisher, "", err) // blocked: the callers are who tries
	}
	return s, err
}

func (p *publisher) set(s *session, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session, p.err = s, err
}

// Publish implements message.Publisher. A topic always has the same lane, so
// it keeps its order.
func (p *publisher) Publish(topic string, ms ...*message.Message) error {
	s, err := p.usable()
	if err != nil {
		return err
	}
	c := p.lanes[maphash.String(p.seed, topic)%lanes]
	l := <-c
	defer func() { c <- l }()
	err = l.publish(s, topic, ms)
	switch {
	case err == nil:
		// Of all: nobody may ever try again what failed on another topic.
		p.links.AllWorked(links.Publisher)
		return nil
	case tooLarge(err):
		return fmt.Errorf("%w: raise max_message_size of RabbitMQ: %w", broker.ErrTooLarge, err)
	}
	err = explain(p.addr, needs(err, "write", "the exchange "+exchange))
	if p.stands(s) { // so nobody else tells of it
		p.links.Failed(links.Publisher, topic, err)
	}
	return err
}

// stands reports whether s is in use, as far as one knows.
func (p *publisher) stands(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session == s && p.err == nil && !s.wm.Connection().IsClosed()
}

// tooLarge reports whether RabbitMQ closed the channel because of the size of
// a message.
func tooLarge(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "message size")
}

func (p *publisher) run(s *session) {
	defer close(p.done)
	for {
		err := p.watch(s)
		if err == nil {
			return
		}
		err = explain(p.addr, err)
		p.set(nil, err)
		s.drop()
		if s = p.reconnect(err); s == nil {
			return
		}
		p.set(s, nil)
		p.links.AllWorked(links.Publisher)
	}
}

// watch returns why the connection is lost, or nil if it is to be closed.
func (p *publisher) watch(s *session) error {
	// RabbitMQ tells when it accepts no messages, and when it does again. The
	// connection stands still while this is full, which nobody reads at the end.
	blocked := s.wm.Connection().NotifyBlocked(make(chan amqp.Blocking, 16))
	for {
		select {
		case e, ok := <-s.lost:
			if !ok {
				return amqp.ErrClosed
			}
			return e
		case b, ok := <-blocked:
			switch {
			case !ok:
				blocked = nil
			case b.Active:
				err := fmt.Errorf("rabbitmq: %s accepts no messages, as it is %s: %s", p.addr, b.Reason, relief(b.Reason))
				p.set(s, err)
				p.links.Failed(links.Publisher, "", err)
			default:
				p.set(s, nil)
				p.links.Worked(links.Publisher, "")
			}
		case <-p.ctx.Done():
			return nil
		}
	}
}

// relief is what to do about an alarm of RabbitMQ, which its reason names.
func relief(reason string) string {
	switch {
	case strings.Contains(reason, "disk"):
		return "free some of it, or lower its disk_free_limit"
	case strings.Contains(reason, "memory"):
		return "give it more, or raise its vm_memory_high_watermark"
	default:
		return "see its alarms (rabbitmq-diagnostics alarms)"
	}
}

// reconnect returns nil if there is no need any more.
func (p *publisher) reconnect(err error) *session {
	for {
		wake := p.links.Wake()
		n := p.links.Failed(links.Publisher, "", err)
		sleep(p.ctx, p.cfg.Retry.Wait(n), wake)
		ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
		s, failed := dial(ctx, p.cfg, "carillon publisher")
		cancel()
		switch {
		case failed == nil:
			return s
		case p.ctx.Err() != nil:
			return nil
		}
		err = explain(p.addr, failed)
		p.set(nil, err)
	}
}

// Close implements message.Publisher. What is under way has a moment to be
// confirmed, and fails then.
func (p *publisher) Close() error {
	p.once.Do(func() {
		p.cancel()
		<-p.done
		p.mu.Lock()
		s := p.session
		p.session, p.err = nil, broker.ErrClosed
		p.mu.Unlock()
		if s == nil {
			return
		}
		t := time.AfterFunc(closeTimeout/4, s.drop)
		for _, c := range p.lanes {
			l := <-c
			l.pub = nil
			c <- l
		}
		t.Stop()
		s.end(nil)
	})
	return nil
}

// needs names the right that RabbitMQ may have refused.
func needs(err error, right, on string) error {
	if e := new(amqp.Error); errors.As(err, &e) && e.Code == amqp.AccessRefused {
		return &deniedError{right, on, err}
	}
	return err
}
