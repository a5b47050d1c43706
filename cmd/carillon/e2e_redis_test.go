package main_test

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"
)

// A redis is a Redis of the test's own, to be killed. It keeps nothing.
type redis struct {
	process
	addr string
}

func (r *redis) url() string { return "redis://" + r.addr }

func newRedis(t *testing.T) *redis {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	need(t, err == nil, "redis-server is not installed")

	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &redis{addr: free.Addr().String()}
	_ = free.Close()
	_, port, _ := net.SplitHostPort(r.addr)
	dir := t.TempDir()
	r.name = "redis-server"
	r.line = func([]byte) {}
	r.cmd = func() *exec.Cmd {
		return exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	}
	r.manage(t)
	r.start(t)
	return r
}

// start returns once Redis answers.
func (r *redis) start(t *testing.T) {
	t.Helper()
	r.launch(t)
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := r.ping()
		if err == nil {
			return
		}
		select {
		case <-r.ended:
			t.Fatalf("redis-server ended: %v", r.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not answer: %v", err)
		}
	}
}

func (r *redis) ping() error {
	conn, err := net.DialTimeout("tcp", r.addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = fmt.Errorf("it answers %q", answer)
	}
	return err
}
