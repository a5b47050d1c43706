package main_test

import (
	"bufio"
	"bytes"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a program that a test starts, stops, kills and starts again.
// What it writes to its standard error is kept for the test's log.
type process struct {
	name string
	cmd  func() *exec.Cmd
	line func(line []byte) // hears each line of its output, on a goroutine

	running *exec.Cmd
	ended   chan struct{} // closed when running has ended and its output is read
	err     error         // of running, once ended

	mu  sync.Mutex
	log bytes.Buffer
}

// trouble is what no server may ever write.
var trouble = regexp.MustCompile(`(?m)^.*(DATA RACE|panic|fatal error|goroutine \d+ \[).*$`)

// manage has the process ended with the test, and its output logged if the
// test failed.
func (p *process) manage(t *testing.T) {
	t.Cleanup(func() {
		p.stop(t)
		p.mu.Lock()
		defer p.mu.Unlock()
		if found := trouble.Find(p.log.Bytes()); found != nil {
			t.Errorf("%s wrote: %s", p.name, found)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.log.Bytes())
		}
	})
}

func (p *process) launch(t *testing.T) {
	t.Helper()
	cmd := p.cmd()
	// The process gets a real file and the reader ends with the last writer,
	// so that nothing the process wrote before its end is missed.
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	ended := make(chan struct{})
	p.running, p.ended = cmd, ended
	go func() { // ends with the process; stop and kill wait for it
		defer close(ended)
		for lines := bufio.NewReader(output); ; {
			line, err := lines.ReadBytes('\n')
			p.mu.Lock()
			p.log.Write(line)
			p.mu.Unlock()
			p.line(line)
			if err != nil {
				break
			}
		}
		p.err = cmd.Wait()
	}()
}

// stop ends the process in its orderly way, and fails the test if it does not
// end soon and well.
func (p *process) stop(t *testing.T) {
	if p.running == nil {
		return
	}
	_ = p.running.Process.Signal(syscall.SIGTERM)
	_ = p.running.Process.Signal(syscall.SIGCONT) // it may be frozen
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("%s ended badly: %v", p.name, p.err)
		}
		p.running = nil
	case <-time.After(20 * time.Second):
		t.Errorf("%s does not stop; stacks:", p.name)
		_ = p.running.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
		}
		p.kill(t)
	}
}

// kill ends the process as a crash would.
func (p *process) kill(*testing.T) {
	if p.running == nil {
		return
	}
	_ = p.running.Process.Kill()
	<-p.ended
	p.running = nil
}

// freeze and thaw stop the process where it stands, and let it go on.
func (p *process) freeze(*testing.T) { _ = p.running.Process.Signal(syscall.SIGSTOP) }
func (p *process) thaw(*testing.T)   { _ = p.running.Process.Signal(syscall.SIGCONT) }
