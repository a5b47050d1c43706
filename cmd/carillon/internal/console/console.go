package console

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Namespace is where the console is watched.
const Namespace = "/console"

// Options tune a Console.
type Options struct {
	Version string // of this node. Default: empty.

	// Room reports whether a room of the adapter is one that clients know, and
	// User whether it is that of all clients of a user. Default: none is.
	Room, User func(adapterRoom string) bool

	Logger *slog.Logger // Default: slog.Default().
}

func (o *Options) fill() {
	none := func(string) bool { return false }
	if o.Room == nil {
		o.Room = none
	}
	if o.User == nil {
		o.User = none
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// A Console is one node's part in telling how the cluster fares. A node whose
// own clients cannot watch has one too, for those of the others. All methods
// may be called concurrently.
type Console struct {
	bus   *broker.Bus
	io    *socketio.Server
	users *presence.Tracker
	meter *Meter
	opts  Options
	born  time.Time

	stopWatch func()
	wake      chan struct{}
	done      chan struct{} // closed by Close
	close     sync.Once
	wg        sync.WaitGroup
	frozen    atomic.Bool

	// What follows is that of run alone.
	census census
	before counts
	stats  Stats // the last ones

	mu     sync.Mutex // guards all below
	peers  map[broker.NodeID]*peer
	fallen []fallen        // the oldest first
	fresh  []broker.NodeID // nodes that began to watch, and have no report yet
	here   int             // sockets of this node that watch
	said   bool            // the others know that there are some
	since  time.Time       // when somebody here began to watch
	latest *View           // what those here were told last; nil if nobody watches
}

// New returns a Console, whose Meter has its hooks in bus and io. Close it
// before bus.
func New(bus *broker.Bus, io *socketio.Server, users *presence.Tracker, meter *Meter, opts Options) *Console {
	opts.fill()
	c := &Console{
		bus: bus, io: io, users: users, meter: meter, opts: opts,
		born:   time.Now(),
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		census: census{isRoom: opts.Room, isUser: opts.User},
		peers:  make(map[broker.NodeID]*peer),
	}
	c.stopWatch = bus.Watch(c.observe)
	bus.Handle(channel, c.hear)
	c.mu.Lock()
	for _, m := range bus.Members() {
		c.up(m)
	}
	c.mu.Unlock()
	c.wg.Go(c.run) // ends with Close
	return c
}

// Close tells nothing more.
func (c *Console) Close() {
	c.close.Do(func() {
		c.stopWatch()
		c.bus.Handle(channel, nil)
		close(c.done)
		c.wg.Wait()
		c.meter.stop()
	})
}

// Connected has a socket of Namespace told, from now on.
func (c *Console) Connected(s *socketio.Socket) {
	c.mu.Lock()
	c.here++
	latest := c.latest
	c.mu.Unlock()
	if latest != nil { // else the first View is about to come
		if err := s.Emit("nodes", latest); err != nil && !errors.Is(err, socketio.ErrDisconnected) {
			c.opts.Logger.Error("console not told", "socket", s.ID(), "error", err)
		}
	}
	c.stir()
}

// Disconnected is to follow each Connected when the socket has ended.
func (c *Console) Disconnected() {
	c.mu.Lock()
	c.here--
	c.mu.Unlock()
	c.stir()
}

// stir has run look at who watches.
func (c *Console) stir() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run tells those who watch, once a second, and does nothing while nobody does.
func (c *Console) run() {
	ticker := time.NewTicker(every)
	ticker.Stop()
	defer ticker.Stop()
	running := false
	for {
		due := false
		select {
		case <-c.wake:
		case <-ticker.C:
			due = true
		case <-c.done:
			return
		}
		now := time.Now()
		nodes, fresh, here, news := c.watchers(now)
		switch wanted := here || len(nodes) > 0; {
		case wanted && !running:
			ticker.Reset(every)
			running = true
			c.before = counts{}
			c.meter.start()
			due = true
		case !wanted && running:
			ticker.Stop()
			running = false
			c.meter.stop()
		}
		c.turn(now, due && running, nodes, fresh, here, news)
	}
}

// turn tells whom there is to tell: if it is due all of them, and else those
// who have just begun to watch.
func (c *Console) turn(now time.Time, due bool, nodes, fresh []broker.NodeID, here, news bool) {
	if due {
		c.stats = c.gather(now)
	}
	r := report{Watching: here, Stats: c.stats}
	switch {
	case here && due, news:
		c.tell(nil, r) // the last one says that nobody watches here any more
	case due:
		c.tell(nodes, r)
	case len(fresh) > 0:
		c.tell(fresh, r)
	}
	if !here {
		c.mu.Lock()
		c.latest = nil
		c.mu.Unlock()
		return
	}
	if !due && !news {
		return
	}
	v := c.view(now, &r.Stats)
	c.mu.Lock()
	c.latest = &v
	c.mu.Unlock()
	if err := c.io.Of(Namespace).Local().Volatile().Emit("nodes", v); err != nil {
		c.opts.Logger.Debug("console not told", "error", err)
	}
}
