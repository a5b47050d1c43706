package rabbitmq_test

import (
	"runtime"
	"strings"
	"time"
)

// stacks returns the goroutines that have one of parts in their stack, once
// they had time to end.
func stacks(parts ...string) string {
	var left []string
	for range 200 {
		buf := make([]byte, 1<<20)
		left = nil
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, part := range parts {
				if strings.Contains(g, part) && !strings.Contains(g, "testing.") {
					left = append(left, g)
					break
				}
			}
		}
		if left == nil {
			return ""
		}
		<-time.After(5 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}
