package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestDrain asks one of two instances to stop while all clients talk.
func TestDrain(t *testing.T) {
	t.Parallel()
	a, b := startPairWithAPI(t, "CARILLON_SERVER__DRAIN__DELAY=1s", "CARILLON_SERVER__DRAIN__PERIOD=3s")
	front := httptest.NewServer(newBalancer(t, a, b))
	t.Cleanup(front.Close)
	runScript(t, asks{"stop": a.stop}, "drain.mjs", front.URL, "node-a", "node-b")
}

// A balancer sends new clients to the instances that say that they are ready,
// in turn, and the requests of one client to where it was sent.
type balancer struct {
	instances []*instance
	proxies   []*httputil.ReverseProxy

	mu    sync.Mutex // guards what follows
	ready []bool
	turn  int
	sent  map[string]int // client → index of its instance
}

func newBalancer(t *testing.T, instances ...*instance) *balancer {
	b := &balancer{instances: instances, ready: make([]bool, len(instances)), sent: make(map[string]int)}
	for _, i := range instances {
		to, err := url.Parse(i.url())
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
		b.proxies = append(b.proxies, proxy)
	}
	eventually(t, "not all instances are ready", func() bool {
		b.look()
		return !slices.Contains(b.ready, false)
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // ends with the test
		for every := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-every.C:
				b.look()
			case <-stop:
				every.Stop()
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
	return b
}

// look asks all instances whether they are ready.
func (b *balancer) look() {
	client := http.Client{Timeout: time.Second}
	for i, at := range b.instances {
		answer, err := client.Get(at.url() + "/readyz")
		if err == nil {
			answer.Body.Close()
		}
		b.mu.Lock()
		b.ready[i] = err == nil && answer.StatusCode == http.StatusOK
		b.mu.Unlock()
	}
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	client := q.Get("client")
	b.mu.Lock()
	to, known := b.sent[client]
	if !known || q.Get("sid") == "" {
		for range b.instances {
			b.turn = (b.turn + 1) % len(b.instances)
			if b.ready[b.turn] {
				break
			}
		}
		to = b.turn
		b.sent[client] = to
	}
	b.mu.Unlock()
	b.proxies[to].ServeHTTP(w, r)
}
