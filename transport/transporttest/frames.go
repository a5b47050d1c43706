package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

func sendInOrder(t *testing.T, open Open) {
	conn, client := open(t, 0, NewRecorder(t))
	const n = 1000
	for i := range n {
		if i%3 == 0 {
			send(t, conn, transport.NewFrames(transport.Frame{Binary: true, Data: fmt.Appendf(nil, "%d", i)}))
		} else {
			send(t, conn, text("%d", i))
		}
	}
	for i := range n {
		if i%3 == 0 {
			wantFrame(t, client, true, fmt.Sprint(i))
		} else {
			wantFrame(t, client, false, fmt.Sprintf("4%d", i))
		}
	}
}

func receiveInOrder(t *testing.T, open Open) {
	rec := NewRecorder(t)
	_, client := open(t, 0, rec)
	const n = 300
	for i := range n {
		data := fmt.Sprintf("4%d", i)
		if err := client.Send(i%3 == 0, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	var kept []transport.Frame // to see whether they stay as they are
	for range n {
		kept = append(kept, rec.Next())
	}
	for i, f := range kept {
		if want := fmt.Sprintf("4%d", i); f.Binary != (i%3 == 0) || string(f.Data) != want {
			t.Fatalf("got binary=%t %q, want %q", f.Binary, f.Data, want)
		}
	}
}

// sizes goes around the lengths at which encodings change.
func sizes(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, client := open(t, 0, rec)
	for _, n := range []int{0, 1, 2, 124, 125, 126, 127, 1000, 1024, 4096, 65534, 65535, 65536, 65537, 300000} {
		data := bytes.Repeat([]byte{0xa5, 0, 0x1e}, n/3+1)[:n]
		str := "4" + strings.Repeat("é", n/2)

		send(t, conn, transport.NewFrames(transport.Frame{Binary: true, Data: data}))
		send(t, conn, transport.Text(str))
		wantFrame(t, client, true, string(data))
		wantFrame(t, client, false, str)

		for _, f := range []transport.Frame{{Binary: true, Data: data}, {Data: []byte(str)}} {
			if err := client.Send(f.Binary, f.Data); err != nil {
				t.Fatal(err)
			}
			if got := rec.Next(); got.Binary != f.Binary || !bytes.Equal(got.Data, f.Data) {
				t.Fatalf("frame of %d bytes arrived as binary=%t %.40q (%d bytes)", len(f.Data), got.Binary, got.Data, len(got.Data))
			}
		}
	}
}

// runsStayWhole sends runs from several goroutines. None of a run's frames
// may stand apart, and each goroutine's runs stay in order.
func runsStayWhole(t *testing.T, open Open) {
	conn, client := open(t, 0, NewRecorder(t))
	const senders, runs = 4, 100
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range runs {
				id := fmt.Sprintf("%d/%d", s, i)
				err := conn.Send(transport.NewFrames(
					transport.Frame{Data: []byte("4" + id)},
					transport.Frame{Binary: true, Data: []byte(id + "a")},
					transport.Frame{Binary: true, Data: []byte(id + "b")}))
				if err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
	defer wg.Wait()
	var next [senders]int
	for range senders * runs {
		_, head, err := client.Receive()
		if err != nil {
			t.Fatal(err)
		}
		var s, i int
		if _, err := fmt.Sscanf(string(head), "4%d/%d", &s, &i); err != nil {
			t.Fatalf("%q is not the head of a run", head)
		}
		if i != next[s] {
			t.Fatalf("run %d of sender %d came when %d was due", i, s, next[s])
		}
		next[s]++
		wantFrame(t, client, true, fmt.Sprintf("%d/%da", s, i))
		wantFrame(t, client, true, fmt.Sprintf("%d/%db", s, i))
	}
}

// sharedFrames sends the same Frames to several clients at the same time.
func sharedFrames(t *testing.T, open Open) {
	shared := transport.NewFrames(transport.Frame{Data: []byte("4head")}, transport.Frame{Binary: true, Data: []byte("tail")})
	var wg sync.WaitGroup
	var clients []Client
	for range 5 {
		conn, client := open(t, 0, NewRecorder(t))
		clients = append(clients, client)
		wg.Go(func() {
			for range 20 {
				if err := conn.Send(shared); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, client := range clients {
		for range 20 {
			wantFrame(t, client, false, "4head")
			wantFrame(t, client, true, "tail")
		}
	}
}

func echoFromFrame(t *testing.T, open Open) {
	rec := NewRecorder(t)
	started := make(chan struct{})
	var conn transport.Conn
	rec.OnFrame = func(binary bool, data []byte) error {
		<-started
		return conn.Send(transport.NewFrames(transport.Frame{Binary: binary, Data: data}))
	}
	c, client := open(t, 0, rec)
	conn = c
	close(started)
	for i := range 50 {
		want := fmt.Sprintf("4%d", i)
		if err := client.Send(false, []byte(want)); err != nil {
			t.Fatal(err)
		}
		wantFrame(t, client, false, want)
	}
}

// blockedReceiver: a Receiver that takes its time holds up reading alone.
func blockedReceiver(t *testing.T, open Open) {
	rec := NewRecorder(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	rec.OnFrame = func(bool, []byte) error {
		close(entered)
		<-leave
		return nil
	}
	conn, client := open(t, 0, rec)
	join := async(t, "Client.Send", func() { // its transport may answer only when the frame is taken
		if err := client.Send(false, []byte("4")); err != nil {
			t.Errorf("Client.Send: %v", err)
		}
	})
	wait(t, entered, "the way to the Receiver")
	send(t, conn, text("while blocked"))
	wantFrame(t, client, false, "4while blocked")
	close(leave)
	join()
}

func frameRefused(t *testing.T, open Open) {
	rec := NewRecorder(t)
	refusal := errors.New("refused")
	rec.OnFrame = func(_ bool, data []byte) error {
		switch string(data) {
		case "4good":
			return nil
		case "4bad":
			return refusal
		}
		t.Errorf("frame %q followed the one that was refused", data)
		return nil
	}
	conn, client := open(t, 0, rec)
	for _, data := range []string{"4good", "4bad", "4after", "4after"} {
		_ = client.Send(false, []byte(data)) // the last ones may meet a closed connection
	}
	rec.WantClosed(refusal)
	if err := conn.Send(text("late")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after the end: %v, want ErrClosed", err)
	}
}
