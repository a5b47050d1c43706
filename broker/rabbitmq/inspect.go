package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker"
)

var _ broker.Inspector = (*driver)(nil)

// Examine implements broker.Inspector, over a connection of its own.
func (d *driver) Examine(ctx context.Context, cluster string) []broker.Finding {
	cfg, addr := d.publisher.cfg, d.publisher.addr
	s, err := dial(ctx, cfg, "carillon doctor")
	if err != nil {
		return []broker.Finding{{Check: "permissions", Verdict: broker.Failed, Text: explain(addr, err).Error()}}
	}
	defer s.end(nil)
	defer context.AfterFunc(ctx, s.drop)() // whatever waits for RabbitMQ returns
	e := &examination{cfg: cfg, addr: addr, cluster: cluster, conn: s.wm.Connection()}
	return append(e.trials(ctx), e.version(), e.channels(), e.heartbeat())
}

// An examination is one look at RabbitMQ.
type examination struct {
	cfg     *Config
	addr    string
	cluster string
	conn    *amqp.Connection
}

// trials does what the driver does, with a queue of its own: everything that
// can be tried, so that all that is missing is told at once.
func (e *examination) trials(ctx context.Context) []broker.Finding {
	queue := e.cluster + ".doctor." + strings.ToLower(rand.Text()[:8])
	var denied []string
	var broken error
	// Each has a channel of its own, as RabbitMQ closes it with its refusal.
	try := func(right string, f func(ch *amqp.Channel) error) (done bool) {
		ch, err := e.conn.Channel()
		if err == nil {
			err = f(ch) // the channel ends with the connection
		}
		if refusal := new(amqp.Error); errors.As(err, &refusal) && refusal.Code == amqp.AccessRefused {
			denied = append(denied, named(right, refusal))
			return false
		}
		broken = errors.Join(broken, err)
		return err == nil
	}

	declared := try("configure queues", func(ch *amqp.Channel) error { return topology{maxBytes: e.cfg.MaxBytes}.declare(ch, queue) })
	if declared {
		try("read queues", func(ch *amqp.Channel) error {
			_, _, err := ch.Get(queue, true)
			return err
		})
		try("write queues, or read "+exchange, func(ch *amqp.Channel) error {
			return ch.QueueBind(queue, queue, exchange, false, nil)
		})
		try("configure queues", func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(queue, false, false, false)
			return err
		})
	}
	// Last of all, and to nobody: a RabbitMQ that takes no messages does not even
	// read what else comes over the same connection.
	var blocked error
	try("write "+exchange, func(ch *amqp.Channel) (err error) {
		blocked, err = e.publish(ctx, ch, queue)
		return err
	})
	return []broker.Finding{e.rights(denied, declared, broken), alarms(blocked, broken)}
}

// publish sends the largest envelope that there is, and waits until RabbitMQ
// has it. blocked is why RabbitMQ takes nothing.
func (e *examination) publish(ctx context.Context, ch *amqp.Channel, key string) (blocked, err error) {
	alarm := e.conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	confirmed := ch.NotifyPublish(make(chan amqp.Confirmation, 1))
	body := make([]byte, largest)
	if err := ch.PublishWithContext(ctx, exchange, key, false, false, amqp.Publishing{Body: body, DeliveryMode: amqp.Transient}); err != nil {
		return nil, err
	}
	for {
		select {
		case c, ok := <-confirmed:
			switch {
			case !ok: // and closed tells why
				confirmed = nil
			case c.Ack:
				return nil, nil
			default:
				return nil, errors.New("RabbitMQ did not take a message")
			}
		case a := <-alarm:
			if a.Active {
				return errors.New(a.Reason), nil
			}
		case err := <-closed:
			return nil, cause(err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// largest is the most that a Bus publishes at a time.
const largest = 256 << 10

// named is the right that RabbitMQ's refusal means: those of a binding are two.
func named(right string, refusal *amqp.Error) string {
	either, or, two := strings.Cut(right, ", or ")
	switch {
	case !two:
		return right
	case strings.Contains(refusal.Reason, "exchange '"):
		return or
	default:
		return either
	}
}

// rights is the verdict on a user who was denied these.
func (e *examination) rights(denied []string, declared bool, broken error) broker.Finding {
	f := broker.Finding{Check: "permissions"}
	prefix := "^" + regexp.QuoteMeta(e.cluster) + `\.`
	both := `^(` + prefix[1:] + `|amq\.direct$)`
	switch {
	case len(denied) > 0:
		f.Verdict = broker.Failed
		f.Text = "this user may not " + strings.Join(denied, ", nor ") + ": queues are those whose name begins with " + e.cluster + "."
		if !declared {
			f.Text += "; whether it may read and bind them could not be tried"
		}
		u, _ := amqp.ParseURI(e.cfg.URL) // which the driver has used
		f.Advice = fmt.Sprintf("grant what is needed, instead of what the user has: rabbitmqctl set_permissions -p %s %s '%s' '%s' '%s'",
			u.Vhost, u.Username, prefix, both, both)
	case broken != nil:
		f.Verdict = broker.Failed
		f.Text = explain(e.addr, broken).Error()
	default:
		f.Text = "this user may configure, write and read " + prefix + ", and write and read " + exchange
	}
	return f
}

func alarms(blocked, broken error) broker.Finding {
	f := broker.Finding{Check: "alarms", Text: fmt.Sprintf("none: RabbitMQ takes messages, also of the %d KiB that a node sends at most", largest>>10)}
	switch {
	case blocked != nil:
		f.Verdict = broker.Failed
		f.Text = "RabbitMQ takes no messages, as it is " + blocked.Error()
		f.Advice = "give it more, or raise its vm_memory_high_watermark or disk_free_limit"
	case broken != nil:
		f.Verdict, f.Text = broker.Unknown, "not seen, as something else failed"
	}
	return f
}

func (e *examination) version() broker.Finding {
	product, _ := e.conn.Properties["product"].(string)
	v, _ := e.conn.Properties["version"].(string)
	f := broker.Finding{Check: "version", Text: strings.TrimSpace(product + " " + v)}
	var major, minor int
	if n, _ := fmt.Sscanf(v, "%d.%d", &major, &minor); n < 2 || product != "RabbitMQ" {
		f.Verdict, f.Text = broker.Unknown, "it does not say that it is RabbitMQ"
	} else if major < 3 || major == 3 && minor < 8 {
		f.Verdict, f.Advice = broker.Doubtful, "it may work, but 3.8 is the oldest that is supported"
	}
	return f
}

func (e *examination) channels() broker.Finding {
	most := int(e.conn.Config.ChannelMax)
	f := broker.Finding{Check: "channels", Text: fmt.Sprintf("a connection may have %d, of which publishing needs %d", most, lanes)}
	if most < lanes {
		f.Verdict = broker.Failed
		f.Advice = "raise channel_max of RabbitMQ, or that of the URL"
	}
	return f
}

func (e *examination) heartbeat() broker.Finding {
	agreed := e.conn.Config.Heartbeat
	f := broker.Finding{Check: "heartbeat", Text: fmt.Sprintf("every %v: a RabbitMQ that is silent is given up after %v", agreed, agreed+agreed/2)}
	switch {
	case agreed == 0:
		f.Verdict = broker.Doubtful
		f.Text = "none: a RabbitMQ that falls silent is never given up"
		f.Advice = "leave heartbeat out of the URL, or set it to a few seconds"
	case agreed > 6*heartbeat:
		f.Verdict = broker.Doubtful
		f.Advice = fmt.Sprintf("leave heartbeat out of the URL, for %v", heartbeat)
	}
	return f
}
