package socketio_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A client that polls gets the end of its session in a payload of its own, however
// many events there are at the time: the official one would drop what comes along
// with it, and not have it when it is back.
func TestDrainOfPolling(t *testing.T) {
	opts := socketio.Options{Engine: engineio.Options{MaxQueue: 64 << 20}} // none is too slow
	server, url := serve(t, opts, nil)
	const n = 30
	bases := make([]string, n)
	for i := range bases {
		base := url + "/socket.io/?EIO=4&transport=polling"
		id := rawID.FindStringSubmatch(request(t, "GET", base, ""))
		if id == nil {
			t.Fatal("no session")
		}
		base += "&sid=" + id[1]
		request(t, "POST", base, "40")
		if got := request(t, "GET", base, ""); !strings.HasPrefix(got, "40{") {
			t.Fatalf("got %q, want an answer to CONNECT", got)
		}
		bases[i] = base
	}
	stop := make(chan struct{})
	var talk, clients sync.WaitGroup
	var payloads, told atomic.Int32
	for _, base := range bases {
		clients.Go(func() { // ends with the session
			for {
				text := request(t, "GET", base, "")
				packets := strings.Split(text, "\x1e")
				switch {
				case text == "1":
					told.Add(1)
					return
				case strings.HasPrefix(text, "{"): // too slow: it has two seconds
					return
				case !strings.HasPrefix(text, "42"):
					t.Errorf("got %q", text)
					return
				case slices.Contains(packets, "1"):
					t.Errorf("the end comes along with %d packets", len(packets)-1)
					return
				}
				payloads.Add(1)
			}
		})
	}
	talk.Go(func() { // ends with stop
		every := time.NewTicker(time.Millisecond)
		defer every.Stop()
		for i := 0; ; i++ {
			select {
			case <-every.C:
				check(t, server.Of("/").Emit("e", i))
				check(t, server.Of("/").Emit("e", i))
			case <-stop:
				return
			}
		}
	})
	eventually(t, "everybody hears", func() bool { return payloads.Load() > 2*n })
	if err := server.Drain(t.Context(), socketio.DrainOptions{Pace: engineio.Pace{Period: 500 * time.Millisecond}}); err != nil {
		t.Error(err)
	}
	clients.Wait()
	close(stop)
	talk.Wait()
	if told.Load() == 0 {
		t.Error("nobody was told of the end")
	}
}
