//go:build unix

package adapter_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
)

// The variables of the environment that make a node of this program.
const (
	nodeName    = "CARILLON_ADAPTER_NODE"
	nodeBroker  = "CARILLON_ADAPTER_BROKER"
	nodeCluster = "CARILLON_ADAPTER_CLUSTER"
)

const frozenBeat = 500 * time.Millisecond

func TestMain(m *testing.M) {
	if name := os.Getenv(nodeName); name != "" {
		if err := beNode(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beNode is a node in a process of its own, until its standard input ends.
func beNode(name string) error {
	i := slices.IndexFunc(realBrokers, func(b realBroker) bool { return b.name == os.Getenv(nodeBroker) })
	if i < 0 {
		return fmt.Errorf("no broker %q", os.Getenv(nodeBroker))
	}
	_, close, err := openNode(context.Background(), name, realBrokers[i], os.Getenv(nodeCluster))
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return close()
}

// openNode opens a node whose two sockets, and itself, answer with its name.
func openNode(ctx context.Context, name string, b realBroker, cluster string) (adapter.Adapter, func() error, error) {
	bus, err := broker.Open(ctx, func(ctx context.Context) (broker.Driver, error) { return b.open(ctx, os.Getenv(b.variable)) },
		broker.Options{Node: name, Cluster: cluster, Heartbeat: frozenBeat, Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	c := newCluster(bus)
	a := c.Namespace("/")
	for range 2 {
		s := adaptertest.NewSocket(a)
		s.AnswerAll(name)
		a.Add(s)
	}
	a.HandleNodes(func(_ string, _ []byte, answer func([]byte, error)) { answer([]byte(name), nil) })
	ctx, cancel := context.WithTimeout(ctx, brokertest.Patience)
	defer cancel()
	if err := c.AwaitNodes(ctx, 2); err != nil {
		return nil, nil, errors.Join(err, bus.Close())
	}
	return a, bus.Close, nil
}

// startProcess starts a node in a process of its own, and waits for ready.
func startProcess(t *testing.T, name string, b realBroker, cluster string) (p *os.Process, ready <-chan struct{}) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeName+"="+name, nodeBroker+"="+b.name, nodeCluster+"="+cluster)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = stdin.Close()
		kill := time.AfterFunc(brokertest.Patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	c := make(chan struct{})
	go func() { // ends with the process's output
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		if strings.TrimSpace(line) == "ready" {
			close(c)
		}
	}()
	return cmd.Process, c
}

// With one of three processes stopped where it stands, all that is asked
// comes back within the time that it takes to be down, with the answers of the
// other two, and names the third.
func TestFrozenProcess(t *testing.T) {
	for _, b := range realBrokers {
		t.Run(b.name, func(t *testing.T) {
			brokertest.Env(t, b.variable)
			cluster := "test-" + rand.Text()[:10]
			_, ready1 := startProcess(t, "n1", b, cluster)
			frozen, ready2 := startProcess(t, "n2", b, cluster)
			a, closeNode, err := openNode(t.Context(), "n0", b, cluster)
			if err != nil {
				t.Fatal(err)
			}
			defer closeNode()
			for _, ready := range []<-chan struct{}{ready1, ready2} {
				select {
				case <-ready:
				case <-time.After(brokertest.Patience):
					t.Fatal("a process is not ready")
				}
			}
			all := []string{"n0", "n0", "n1", "n1", "n2", "n2"}
			wantAnswers(t, a, brokertest.Patience, all, nil)

			if err := frozen.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			// Its threads go on for a moment after that.
			var status syscall.WaitStatus
			if _, err := syscall.Wait4(frozen.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
				t.Fatalf("the process does not stop: %v, %v", status, err)
			}
			wantAnswers(t, a, 5*frozenBeat+frozenBeat/2+2*time.Second, all[:4], []string{"n2"})

			if err := frozen.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(brokertest.Patience); ; {
				if n, err := a.Count(t.Context(), adapter.Target{}); err == nil && n == len(all) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the process that goes on is not seen again")
				}
				time.Sleep(20 * time.Millisecond)
			}
			wantAnswers(t, a, brokertest.Patience, all, nil)
		})
	}
}

// wantAnswers asks the sockets and the nodes, all at once.
func wantAnswers(t *testing.T, a adapter.Adapter, within time.Duration, sockets, missing []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	type result struct {
		what string
		from []string
		err  error
		took time.Duration
	}
	results := make(chan result, 3)
	start := time.Now()
	done := func(what string, from []string, err error) {
		slices.Sort(from)
		results <- result{what, from, err, time.Since(start)}
	}
	go func() {
		infos, err := a.Fetch(ctx, adapter.Target{})
		var from []string
		for _, i := range infos {
			from = append(from, i.Node)
		}
		done("fetch", from, err)
	}()
	go func() {
		answers, err := a.Ask(ctx, adapter.Target{}, &adapter.Packet{Data: []byte("?")})
		var from []string
		for _, x := range answers {
			from = append(from, string(x.Body))
		}
		done("ask", from, err)
	}()
	go func() {
		answers, err := a.AskNodes(ctx, nil)
		from := []string{"n0", "n0"}
		for _, x := range answers {
			from = append(from, string(x.Body), x.Node)
		}
		done("ask nodes", from, err)
	}()
	for range 3 {
		r := <-results
		if !slices.Equal(r.from, sockets) {
			t.Errorf("%s: got %q, want %q (%v)", r.what, r.from, sockets, r.err)
		}
		var named []string
		if partial, ok := errors.AsType[*adapter.PartialError](r.err); ok {
			for _, m := range partial.Missing {
				named = append(named, m.Node)
			}
		}
		if !slices.Equal(named, missing) || (r.err == nil) != (missing == nil) {
			t.Errorf("%s: got %v, want %q missing", r.what, r.err, missing)
		}
		if r.took > within {
			t.Errorf("%s: took %v, want at most %v", r.what, r.took, within)
		}
		t.Logf("%s: %d answers in %v, %v", r.what, len(r.from), r.took.Round(time.Millisecond), r.err)
	}
}
