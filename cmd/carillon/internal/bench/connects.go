package bench

import (
	"sync"
	"time"
)

// crowd has clients connect and do nothing.
type crowd struct{ *run }

func (crowd) event(*conn, []byte, int64) {}
func (crowd) ack(*conn, []byte, int64)   {}

func (r *run) anybody(int) string { return r.name }

// connecting is the scenario connect. A tenth of the clients connect before
// it is measured how the others do, which they do at the rate if there is one,
// and InFlight at a time otherwise. They stay until all have.
func (r *run) connecting() error {
	if r.o.Warmup > 0 {
		if _, err := r.connectAll((r.o.Clients+9)/10, r.o.InFlight, r.anybody, func(c *conn, _ time.Duration) { r.begin(c, crowd{r}) }); err != nil {
			return err
		}
	}
	r.measured.before = r.meter.read()
	if r.o.Rate > 0 {
		if err := r.connectAtRate(); err != nil {
			return err
		}
	} else {
		_, err := r.connectAll(r.o.Clients, r.o.InFlight, r.anybody, func(c *conn, took time.Duration) {
			r.took.record(c.index, took)
			r.begin(c, crowd{r})
		})
		if err != nil {
			return err
		}
	}
	r.measured.after = r.meter.read()
	return nil
}

func (r *run) connectAtRate() error {
	r.measured.connections = 0
	var mu sync.Mutex // guards connections
	var wg sync.WaitGroup
	done := make(chan struct{})
	go func() { // takes a thread of its own with it; ends with the last client's turn
		defer close(done)
		until := time.Duration((float64(r.o.Clients) - 0.5) / r.o.Rate * float64(time.Second))
		pace(r.ctx, r.o.Rate, until, precise(), func(i int, due time.Time) {
			wg.Go(func() { // ends within Timeout
				c, err := r.client(i, r.name)
				if err != nil {
					r.failed.add("", err)
					return
				}
				r.took.record(i, time.Since(due))
				r.begin(c, crowd{r})
				mu.Lock()
				defer mu.Unlock()
				r.measured.connections++
				r.say("connected %s of %s clients", thousands(int64(r.measured.connections)), thousands(int64(r.o.Clients)))
			})
		})
	}()
	<-done
	wg.Wait()
	return r.ctx.Err()
}

// idle is the scenario of that name.
func (r *run) idle() error {
	_, err := r.connectAll(r.o.Clients, r.o.InFlight, r.anybody, func(c *conn, took time.Duration) {
		r.took.record(c.index, took)
		r.begin(c, crowd{r})
	})
	if err != nil {
		return err
	}
	r.say("settling")
	if err := r.sleep(r.o.Warmup); err != nil {
		return err
	}
	r.say("measuring for %v", r.o.Duration)
	r.measured.before = r.meter.read()
	if err := r.sleep(r.o.Duration); err != nil {
		return err
	}
	r.measured.after = r.meter.read()
	return nil
}
