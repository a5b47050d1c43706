package socketio_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
)

// TestSameAsNode lets real clients follow generated scripts, once against
// Node's server and once against ours: they must see the same. A seed that
// fails is run alone by CARILLON_TEST_SEED=17; CARILLON_TEST_SEEDS=5000 runs
// so many instead of 300.
func TestSameAsNode(t *testing.T) {
	interopNeeds(t, "node", "node_modules")
	const lanes = 6
	seeds := [2]int{1, 300}
	if testing.Short() {
		seeds[1] = 30
	}
	if n, err := strconv.Atoi(os.Getenv("CARILLON_TEST_SEEDS")); err == nil {
		seeds[1] = n
	}
	if n, err := strconv.Atoi(os.Getenv("CARILLON_TEST_SEED")); err == nil {
		seeds = [2]int{n, n}
	}
	run := func(url string) map[string][]string {
		seen := make(map[string][]string)
		arg := map[string]any{"url": url, "seeds": seeds, "lanes": lanes}
		interopRun(t, "node", "run.mjs", arg, func(line []byte) {
			var script struct {
				Title string
				Lines []string
			}
			if err := json.Unmarshal(line, &script); err != nil {
				t.Errorf("%.200q: %v", line, err)
			}
			seen[script.Title] = script.Lines
		})
		return seen
	}
	node, ours := interopNode(t, fmt.Sprintf(`{"lanes":%d}`, lanes)), interopOurs(t, socketio.Options{}, lanes)
	var want, got map[string][]string
	var wg sync.WaitGroup
	wg.Go(func() { want = run(node) }) // ends with its scripts
	wg.Go(func() { got = run(ours) })
	wg.Wait()
	for seed := seeds[0]; seed <= seeds[1]; seed++ {
		title := fmt.Sprintf("seed %d", seed)
		t.Run(title, func(t *testing.T) {
			if len(want[title]) == 0 {
				t.Fatal("Node's server was asked nothing")
			}
			if difference := firstDifference(got[title], want[title]); difference != "" {
				t.Error(difference)
			}
			if last := want[title][len(want[title])-1]; strings.HasPrefix(last, "waited in vain") {
				t.Errorf("the script does not get through with Node's server: %s", last)
			}
		})
	}
}

// firstDifference describes where two logs of a script part, or returns "".
func firstDifference(got, want []string) string {
	step := ""
	for i := range max(len(got), len(want)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(end)"
		}
		if g, w := line(got), line(want); g != w {
			return fmt.Sprintf("%s\nours: %.1000s\nNode: %.1000s", step, g, w)
		}
		if strings.HasPrefix(got[i], "step ") {
			step = got[i]
		}
	}
	return ""
}
