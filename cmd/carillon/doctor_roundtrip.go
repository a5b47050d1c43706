package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A roundTrip is how long a message to another node and its answer took.
type roundTrip struct {
	Messages int     `json:"messages"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

const (
	trips    = 200 // messages, one after the other
	tripSize = 150 // bytes of each: a short chat message
)

// roundTrip joins two nodes as two servers would, in a cluster of their own,
// and has one ask the other.
func (c checkup) roundTrip(ctx context.Context, open openDriver) broker.Finding {
	f := broker.Finding{Check: "round trip"}
	cluster, err := aside(c.cfg.Broker.Cluster)
	if err != nil {
		f.Verdict, f.Text = broker.Unknown, err.Error()
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	took, err := askAround(ctx, open, broker.Options{
		Cluster:   cluster,
		Heartbeat: c.cfg.Broker.Heartbeat,
		Retry:     c.cfg.Broker.Reconnect.retry(),
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Verdict, f.Text = broker.Failed, "between two nodes "+err.Error()
		f.Advice = "try again, and look into the log of the broker"
		return f
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	c.RoundTrip = &roundTrip{len(took), milliseconds(p50), milliseconds(p99)}
	f.Text = fmt.Sprintf("a message to another node and its answer take %v, 1 of 100 more than %v (%d were tried)",
		rounded(p50), rounded(p99), len(took))
	if p99 > c.cfg.Broker.Heartbeat/2 {
		f.Verdict = broker.Doubtful
		f.Text += fmt.Sprintf(": for a heartbeat of %v that is much, and nodes may be taken for down", shortDuration(c.cfg.Broker.Heartbeat))
		f.Advice = "bring the broker nearer, give it more, or raise broker.heartbeat on all nodes"
	}
	return f
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond).Microseconds()) / 1000
}

// askAround returns how long each question and its answer took.
func askAround(ctx context.Context, open openDriver, opts broker.Options) ([]time.Duration, error) {
	var nodes [2]*broker.Bus
	for i, name := range []string{"doctor-asks", "doctor-answers"} {
		opts.Node = name
		b, err := broker.Open(ctx, open, opts)
		if err != nil {
			return nil, err
		}
		defer b.Close() // nothing depends on how it ends
		nodes[i] = b
	}
	asks, answers := nodes[0], nodes[1]
	answers.Respond("doctor", func(m broker.Message) ([]byte, error) { return m.Body, nil })

	met := make(chan struct{}, 1)
	defer asks.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeUp {
			select {
			case met <- struct{}{}:
			default:
			}
		}
	})()
	for len(asks.Members()) == 0 {
		select {
		case <-met:
		case <-ctx.Done():
			return nil, fmt.Errorf("nothing goes: they did not find each other (one is %v, the other %v)", asks.State(), answers.State())
		}
	}

	var took []time.Duration
	for range trips {
		begin := time.Now()
		g, err := asks.Request("doctor", make([]byte, tripSize), answers.Self().ID)
		if err != nil {
			return nil, fmt.Errorf("a message was refused: %w", err)
		}
		switch answer := g.Wait(ctx)[0]; {
		case answer.Err != nil && len(took) > 0 && ctx.Err() != nil:
			return took, nil // slow, which the figures tell
		case answer.Err != nil:
			return nil, fmt.Errorf("a message was not answered: %w", answer.Err)
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}
