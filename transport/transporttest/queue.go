package transporttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

// filler is a frame that fills a queue soon.
var filler = strings.Repeat("x", 32<<10)

// volatile: frames to a client that is receiving are taken, and those that
// were taken arrive.
func volatile(t *testing.T, open Open) {
	conn, client := open(t, 0, NewRecorder(t))
	got := make(chan string)
	join := async(t, "the client", func() {
		defer close(got)
		for {
			_, data, err := client.Receive()
			if err != nil || string(data) == "4end" {
				return
			}
			got <- string(data)
		}
	})
	for i := range 20 {
		until(t, "a volatile frame is taken", func() bool { return conn.SendVolatile(text("%d", i)) })
		if data, want := <-got, string(text("%d", i).Parts()[0].Data); data != want {
			t.Fatalf("received %.40q, want %q", data, want)
		}
	}
	send(t, conn, text("end"))
	for data := range got {
		t.Errorf("received %.40q on top", data)
	}
	join()
}

// volatileIsDropped: a client that does not receive gets part of the volatile
// frames, in order and each of them whole, and all of the others.
func volatileIsDropped(t *testing.T, open Open) {
	conn, client := open(t, 0, NewRecorder(t))
	var want []string
	dropped := 0
	for i := range 1000 {
		f := transport.NewFrames(
			transport.Frame{Data: text("%d %s", i, filler).Parts()[0].Data},
			transport.Frame{Binary: true, Data: []byte{byte(i)}})
		if i%250 == 0 {
			send(t, conn, f)
		} else if !conn.SendVolatile(f) {
			dropped++
			continue
		}
		want = append(want, string(f.Parts()[0].Data), string(f.Parts()[1].Data))
	}
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
	send(t, conn, text("end"))
	for i, data := range want {
		wantFrame(t, client, i%2 == 1, data)
	}
	wantFrame(t, client, false, "4end")
}

// buffered rises while the client takes nothing and falls to nothing when it
// does.
func buffered(t *testing.T, open Open) {
	const bound = 32 << 20
	conn, client := open(t, bound, NewRecorder(t))
	n := 0
	for conn.Buffered() < 1<<20 {
		if n*len(filler) > bound {
			t.Fatalf("sent %d bytes to a client that takes none, Buffered() = %d", n*len(filler), conn.Buffered())
		}
		send(t, conn, text("%s", filler))
		n++
	}
	for range n {
		wantFrame(t, client, false, "4"+filler)
	}
	join := async(t, "the client", func() { wantClosing(t, client) })
	until(t, "Buffered() = 0", func() bool { return conn.Buffered() == 0 })
	conn.Abort()
	join()
}

// slow: a client that takes nothing is cut when the bound is reached.
func slow(t *testing.T, open Open) {
	rec := NewRecorder(t)
	conn, _ := open(t, 128<<10, rec)
	f := text("%s", filler)
	var err error
	for range 2000 { // 64 MB, more than a kernel buffers
		if err = conn.Send(f); err != nil {
			break
		}
	}
	if !errors.Is(err, transport.ErrSlow) {
		t.Fatalf("Send: %v, want ErrSlow", err)
	}
	rec.WantClosed(transport.ErrSlow)
	if err := conn.Send(f); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after the end: %v, want ErrClosed", err)
	}
	if conn.SendVolatile(f) {
		t.Error("SendVolatile after the end was taken")
	}
	if n := conn.Buffered(); n != 0 {
		t.Errorf("Buffered() = %d after the end", n)
	}
}
