package adapter_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/carillonhq/carillon/adapter"
)

// A stream is one browser that listens to server-sent events.
type stream struct {
	id     adapter.SocketID
	events chan *adapter.Packet
	end    context.CancelFunc
}

func (s *stream) ID() adapter.SocketID { return s.id }
func (s *stream) Info() []byte         { return nil }
func (s *stream) Disconnect(bool)      { s.end() }

// Deliver drops what is volatile if the browser is slow, and the browser if it
// is not.
func (s *stream) Deliver(p *adapter.Packet) bool {
	select {
	case s.events <- p:
		return true
	default:
		if !p.Volatile {
			s.end() // it will connect again by itself
		}
		return false
	}
}

// events serves the events of the topics that the query names.
func events(topics adapter.Adapter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		s := &stream{topics.NewID(), make(chan *adapter.Packet, 16), cancel}
		var rooms []adapter.Room
		for _, topic := range r.URL.Query()["topic"] {
			rooms = append(rooms, adapter.Room(topic))
		}
		topics.Add(s, rooms...)
		defer topics.Remove(s.id)

		w.Header().Set("Content-Type", "text/event-stream")
		out := http.NewResponseController(w)
		out.Flush()
		for {
			select {
			case p := <-s.events:
				// Written once for all browsers of this node.
				text := p.Shared(func(data []byte) any { return fmt.Appendf(nil, "data: %s\n\n", data) })
				if _, err := w.Write(text.([]byte)); err != nil {
					return
				}
				out.Flush()
			case <-ctx.Done():
				return
			}
		}
	}
}

// Server-sent events with nothing but net/http. With the Adapter of a Cluster
// instead of the Local, it spans all nodes.
func Example_serverSentEvents() {
	topics := adapter.NewLocal()
	defer topics.Close()
	server := httptest.NewServer(events(topics))
	defer server.Close()

	response, err := http.Get(server.URL + "?topic=weather&topic=news")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	for topic, text := range map[adapter.Room]string{"sports": "1:0", "news": "It rings."} {
		topics.Broadcast(adapter.Target{Rooms: []adapter.Room{topic}}, &adapter.Packet{Data: []byte(text)})
	}
	line, _ := bufio.NewReader(response.Body).ReadString('\n')
	fmt.Print(response.Header.Get("Content-Type"), "\n", line)
	topics.DisconnectAll(adapter.Target{}, true)
	// Output:
	// text/event-stream
	// data: It rings.
}
