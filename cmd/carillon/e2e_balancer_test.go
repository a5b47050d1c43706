package main_test

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"testing"
	"time"
)

// A spreading is how a balancer that does not care who asks chooses an instance.
type spreading string

const (
	inTurns      spreading = "in turns"      // each request, be it a poll or an upgrade, goes to the next instance
	atRandom     spreading = "at random"     // each request goes to any
	byConnection spreading = "by connection" // each TCP connection goes to the next instance, whatever is asked on it
)

// A spread is a balancer without affinity. It leaves out instances that say
// that they are not ready, or cannot be reached, or that the test took out.
type spread struct {
	idle func() // closes connections to instances that no request uses

	how   spreading
	addrs []string
	cuts  *cutter // the connections of clients

	mu   sync.Mutex // guards all below
	up   []bool     // ready, when they were asked last
	out  []bool     // taken out
	turn int
	sent []int // requests, or connections, by instance
	lost int   // requests that no instance answered
}

// newSpread returns a balancer before instances that are ready.
func newSpread(t *testing.T, how spreading, instances ...*instance) *spread {
	t.Helper()
	s := &spread{how: how, up: make([]bool, len(instances)), out: make([]bool, len(instances)), sent: make([]int, len(instances))}
	for _, i := range instances {
		s.addrs = append(s.addrs, i.addr)
	}
	eventually(t, "not all instances are ready", func() bool {
		s.look()
		return !slices.Contains(s.up, false)
	})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.cuts = newCutter(l)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // ends with the test
		for every := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-every.C:
				s.look()
			case <-stop:
				every.Stop()
				return
			}
		}
	})
	end := s.serve(&wg)
	t.Cleanup(func() {
		close(stop)
		end()
		s.cuts.cut(reset, 1)
		wg.Wait()
	})
	return s
}

func (s *spread) url() string { return "http://" + s.cuts.Addr().String() }

// takeOut and putIn say whether new requests go to an instance, ready or not.
func (s *spread) takeOut(i int) { s.set(i, true) }
func (s *spread) putIn(i int)   { s.set(i, false) }

func (s *spread) set(i int, out bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out[i] = out
}

// counts returns how many requests, or connections, went to each instance, and
// how many were not answered.
func (s *spread) counts() (sent []int, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent), s.lost
}

// look asks all instances whether they are ready.
func (s *spread) look() {
	client := http.Client{Timeout: 2 * time.Second}
	var wg sync.WaitGroup
	for i, addr := range s.addrs {
		wg.Go(func() { // ends with the answer
			answer, err := client.Get("http://" + addr + "/readyz")
			if err == nil {
				answer.Body.Close()
			}
			s.mark(i, err == nil && answer.StatusCode == http.StatusOK)
		})
	}
	wg.Wait()
}

func (s *spread) mark(i int, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up[i] = up
}

// ready reports whether an instance was ready when it was asked last.
func (s *spread) ready(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up[i]
}

// next chooses an instance that is none of those tried; -1 if there is no other.
func (s *spread) next(tried []int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.addrs)
	if s.how == atRandom {
		s.turn = rand.IntN(n)
	}
	for _, ready := range []bool{true, false} { // one that is not ready is better than none
		for k := 1; k <= n; k++ {
			i := (s.turn + k) % n
			if !slices.Contains(tried, i) && s.up[i] == ready && !s.out[i] {
				s.turn = i
				s.sent[i]++
				return i
			}
		}
	}
	s.lost++
	return -1
}

// serve balances until end is called.
func (s *spread) serve(wg *sync.WaitGroup) (end func()) {
	if s.how == byConnection {
		wg.Go(func() { s.relay(wg) }) // ends with the listener
		return func() { s.cuts.Close() }
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1000, IdleConnTimeout: 10 * time.Second}
	s.idle = transport.CloseIdleConnections
	web := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host },
			Transport: &roundTrips{s, transport},
			ErrorLog:  log.New(io.Discard, "", 0),
		},
	}
	wg.Go(func() { _ = web.Serve(s.cuts) }) // ends with web
	return func() {
		web.Close()
		transport.CloseIdleConnections()
	}
}

// roundTrips have each request sent to an instance of its own.
type roundTrips struct {
	*spread
	transport *http.Transport
}

func (r *roundTrips) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		request.Body = io.NopCloser(request.Body) // nobody has read of it whom we could not reach
	}
	err := errors.New("no instance")
	for tried := []int(nil); ; {
		i := r.next(tried)
		if i < 0 {
			return nil, err
		}
		to := request.Clone(request.Context())
		to.URL.Host = r.addrs[i]
		var answer *http.Response
		answer, err = r.transport.RoundTrip(to)
		if failed, ok := errors.AsType[*net.OpError](err); !ok || failed.Op != "dial" {
			return answer, err
		}
		r.mark(i, false)
		tried = append(tried, i)
	}
}

// relay passes connections on.
func (s *spread) relay(wg *sync.WaitGroup) {
	for {
		client, err := s.cuts.Accept()
		if err != nil {
			return
		}
		server := s.dial()
		if server == nil {
			client.Close()
			continue
		}
		wg.Go(func() { // both end with either connection
			defer server.Close()
			defer client.Close()
			var up sync.WaitGroup
			up.Go(func() {
				_, _ = io.Copy(server, client)
				_ = server.CloseWrite()
			})
			_, _ = io.Copy(client, server)
			client.Close()
			up.Wait()
		})
	}
}

// dial connects to the next instance, or returns nil.
func (s *spread) dial() *net.TCPConn {
	for tried := []int(nil); ; {
		i := s.next(tried)
		if i < 0 {
			return nil
		}
		server, err := new(net.Dialer).DialContext(context.Background(), "tcp", s.addrs[i])
		if err == nil {
			return server.(*net.TCPConn)
		}
		s.mark(i, false)
		tried = append(tried, i)
	}
}
