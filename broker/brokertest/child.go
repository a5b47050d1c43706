package brokertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// childEnv makes a test program one node of a cluster, to be stopped: it is
// the node's place, the address and the cluster.
const childEnv = "CARILLON_TEST_NODE"

// Main is for the TestMain of a driver that Faults tests: there, one of the
// nodes is a process of its own. open is that of the Server.
func Main(m *testing.M, open func(ctx context.Context, addr, cluster string) (broker.Driver, error)) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := runChild(spec, open); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// An order is what a child is told, on a line of JSON, and answers with an
// account of the same kind when it is done.
type order struct {
	Do    string          // "members", "speak", "hush", "await"
	Until [speakers]int64 // of await: how many numbers there are of each
}

type childReport struct {
	Said, Refused int64
	Of            [speakers]account
	Err           string
}

func runChild(spec string, open func(ctx context.Context, addr, cluster string) (broker.Driver, error)) error {
	var place int
	var addr, cluster string
	if _, err := fmt.Sscan(spec, &place, &addr, &cluster); err != nil {
		return err
	}
	s, err := openSpeaker(context.Background(), place, false, broker.Options{Cluster: cluster}, func(ctx context.Context) (broker.Driver, error) {
		return open(ctx, addr, cluster)
	})
	if err != nil {
		return err
	}
	defer s.Close()
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil // the test is over
		}
		var err error
		switch o.Do {
		case "members":
			err = poll("the others are up", func() bool { return len(s.Members()) == speakers-1 })
		case "speak":
			s.speak()
		case "hush":
			s.hush()
		case "await":
			err = s.await(o.Until)
		}
		r := childReport{Said: s.said.Load(), Refused: s.refused.Load(), Of: s.heard()}
		if err != nil {
			r.Err = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// await waits until s has heard, or knows to be missing, all up to the numbers.
func (s *speaker) await(until [speakers]int64) error {
	done := func() bool {
		for i, a := range s.heard() {
			if i != s.place && a.Next < until[i] {
				return false
			}
		}
		return true
	}
	if err := poll("all is heard", done); err != nil {
		return fmt.Errorf("node %d: %w: of %v it has %+v", s.place, err, until, s.heard())
	}
	return nil
}

// poll waits for what cannot be waited for in another way.
func poll(what string, f func() bool) error {
	for end := time.Now().Add(2 * Patience); !f(); {
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
	return nil
}

// A child is a node in a process of its own.
type child struct {
	*os.Process
	in  *json.Encoder
	out *json.Decoder
}

func startChild(t *testing.T, place int, addr, cluster string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", childEnv, place, addr, cluster))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &child{cmd.Process, json.NewEncoder(in), json.NewDecoder(out)}
}

// do returns when the child has done it.
func (c *child) do(t *testing.T, o order) childReport {
	t.Helper()
	var r childReport
	if err := c.in.Encode(o); err != nil {
		t.Fatalf("child: %s: %v", o.Do, err)
	}
	if err := c.out.Decode(&r); err != nil {
		t.Fatalf("child: %s: %v", o.Do, err)
	}
	if r.Err != "" {
		t.Errorf("child: %s: %s", o.Do, r.Err)
	}
	return r
}
