package brokertest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/broker"
)

const (
	speakers = 3    // nodes of a cluster that is tried
	loadRate = 2000 // messages a second that they say together
	loadBody = 150  // bytes of each
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// A speaker is a node of a cluster that says numbered messages, and keeps
// account of those that it hears. Their names are their places: "0", "1", "2".
type speaker struct {
	*broker.Bus
	place     int
	mix       bool         // every fourth message is for the next node alone
	envelopes atomic.Int64 // that went out and came in

	said    atomic.Int64 // messages that were accepted
	refused atomic.Int64
	stop    chan struct{} // ends the talk
	talk    sync.WaitGroup

	mu    sync.Mutex // guards what follows
	of    [speakers]account
	ups   map[broker.NodeID]bool
	downs int
}

// An account is what a node has heard of another.
type account struct {
	Next       int64 // the number that comes next
	Delivered  int64
	Lost       int64 // numbers that are missing without a Gap
	Duplicates int64 // or out of order
	Gapped     int64 // numbers that are missing under a Gap

	gap int64 // numbers of the Gaps since the last message
}

// add makes a the sum of both.
func (a *account) add(o account) {
	a.Delivered += o.Delivered
	a.Lost += o.Lost
	a.Duplicates += o.Duplicates
	a.Gapped += o.Gapped
}

func openSpeaker(ctx context.Context, place int, mix bool, opts broker.Options, open func(context.Context) (broker.Driver, error)) (*speaker, error) {
	s := &speaker{place: place, mix: mix, ups: make(map[broker.NodeID]bool)}
	opts.Node, opts.Logger = fmt.Sprint(place), silent
	opts.Hooks.Published = func(int, int, time.Duration, error) { s.envelopes.Add(1) }
	opts.Hooks.Received = func(int, int) { s.envelopes.Add(1) }
	var err error
	if s.Bus, err = broker.Open(ctx, open, opts); err != nil {
		return nil, err
	}
	s.Handle("load", s.hear)
	s.Watch(s.note)
	for _, m := range s.Members() {
		s.note(broker.Event{Kind: broker.NodeUp, Node: m})
	}
	return s, nil
}

// directed reports whether number k is for the next node alone.
func (s *speaker) directed(k int64) bool { return s.mix && k%4 == 0 }

// owed returns how many of the first n numbers of the node at place are for s.
func (s *speaker) owed(place int, n int64) int64 {
	if !s.mix || (place+1)%speakers == s.place {
		return n
	}
	return n - (n+3)/4
}

func (s *speaker) hear(m broker.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.of[m.From.Name[0]-'0']
	k := int64(binary.LittleEndian.Uint64(m.Body))
	a.Delivered++
	if k < a.Next {
		a.Duplicates++
		return
	}
	place := int(m.From.Name[0] - '0')
	missing := s.owed(place, k) - s.owed(place, a.Next)
	a.Gapped += min(missing, a.gap)
	a.Lost += max(missing-a.gap, 0)
	a.Next, a.gap = k+1, 0
}

func (s *speaker) note(ev broker.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev.Kind {
	case broker.NodeUp:
		s.ups[ev.Node.ID] = true
	case broker.NodeDown:
		s.downs++
	case broker.Gap:
		s.of[ev.Node.Name[0]-'0'].gap += int64(ev.To - ev.From)
	}
}

// say says the next number.
func (s *speaker) say(to broker.NodeID) {
	body := binary.LittleEndian.AppendUint64(make([]byte, 0, loadBody), uint64(s.said.Load()))[:loadBody]
	var err error
	if s.directed(s.said.Load()) {
		err = s.Send(to, "load", body)
	} else {
		err = s.Broadcast("load", body)
	}
	if err != nil {
		s.refused.Add(1)
		return
	}
	s.said.Add(1)
}

// speak begins to say numbers, a share of loadRate.
func (s *speaker) speak() {
	s.stop = make(chan struct{})
	var next broker.NodeID
	for _, m := range s.Members() {
		if m.Name == fmt.Sprint((s.place+1)%speakers) {
			next = m.ID
		}
	}
	s.talk.Go(func() { // ends in hush
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		begin, first := time.Now(), s.said.Load()+s.refused.Load()
		for over := false; !over; {
			select {
			case <-tick.C:
			case <-s.stop:
				over = true
			}
			due := int64(time.Since(begin) * loadRate / speakers / time.Second)
			for s.said.Load()+s.refused.Load() < first+due {
				s.say(next)
			}
		}
		if n := s.said.Load(); n > 0 && s.directed(n-1) {
			s.say(next) // the last is for all, who then know that it was
		}
	})
}

// hush ends speak.
func (s *speaker) hush() {
	close(s.stop)
	s.talk.Wait()
}

// heard returns the accounts.
func (s *speaker) heard() [speakers]account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of
}
