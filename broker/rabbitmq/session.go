package rabbitmq

import (
	"context"
	"errors"
	"net"
	"time"

	wm "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// A session is one AMQP connection for as long as it lasts. Watermill's
// wrapper would make it again by itself, with waits of its own and for ever;
// here it is made once, and whoever uses it asks for a new one.
type session struct {
	wm   *wm.ConnectionWrapper
	raw  net.Conn
	log  *library
	lost chan *amqp.Error // has why the connection ended, and is closed then
}

// dial connects. ctx bounds the call alone.
func dial(ctx context.Context, cfg *Config, name string) (*session, error) {
	s := &session{log: &library{faults: make(chan error, 1)}}
	var stop func() bool
	config := amqp.Config{
		SASL:       cfg.sasl(),
		Heartbeat:  heartbeat,
		Locale:     "en_US",
		Properties: amqp.Table{"product": "Carillon", "connection_name": name},
		Dial: func(network, addr string) (net.Conn, error) {
			deadline, ok := ctx.Deadline()
			if !ok {
				deadline = time.Now().Add(dialTimeout)
			}
			conn, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			s.raw = conn
			stop = context.AfterFunc(ctx, s.drop)
			return conn, conn.SetDeadline(deadline) // until the connection is open
		},
	}
	if cfg.TLS != nil {
		config.TLSClientConfig = cfg.TLS.Clone()
	}
	conn, err := wm.NewConnection(wm.ConnectionConfig{AmqpURI: cfg.URL, AmqpConfig: &config}, s.log)
	if stop != nil && !stop() || err != nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		if s.raw != nil {
			s.drop()
		}
		return nil, err
	}
	s.wm = conn
	s.lost = conn.Connection().NotifyClose(make(chan *amqp.Error, 1))
	return s, nil
}

// drop cuts the connection: whatever waits for RabbitMQ returns.
func (s *session) drop() { s.raw.Close() }

// end closes the connection in its orderly way, after what last does with it,
// but does not wait for ever. Nobody else may use the session any more.
func (s *session) end(last func(*amqp.Connection)) {
	t := time.AfterFunc(closeTimeout, s.drop)
	defer t.Stop()
	if last != nil {
		last(s.wm.Connection())
	}
	s.wm.Connection().Close() // an error means that it is closed already
	s.drop()
}
