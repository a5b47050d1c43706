//go:build unix

package main

import (
	"fmt"
	"syscall"

	"github.com/carillonhq/carillon/broker"
)

// openFiles looks at the limit that most servers meet first: each client is an
// open file.
func openFiles() broker.Finding {
	f := broker.Finding{Check: "open files"}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		f.Verdict, f.Text = broker.Unknown, "the limit is not known: "+err.Error()
		return f
	}
	f.Text = fmt.Sprintf("this process may have %d, and so about as many clients", limit.Cur)
	if limit.Cur < 4096 {
		f.Verdict = broker.Doubtful
		f.Advice = "raise the limit: ulimit -n, LimitNOFILE of systemd, --ulimit nofile of containers"
	}
	return f
}
