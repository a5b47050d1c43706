package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The command stands in the path of scripts and tests, and runs as a process
// of its own. Tests that are parallel mostly wait for other processes, so that
// there may be more of them at a time than processors.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // unless the command line says otherwise
	testscript.Main(m, map[string]func(){
		"carillon": main,
		"stuck": func() { // a server that does not come to its end
			ctx := untilSignal()
			fmt.Fprintln(os.Stderr, "started")
			<-ctx.Done()
			fmt.Fprintln(os.Stderr, "stopping")
			<-impatience(ctx).Done()
			fmt.Fprintln(os.Stderr, "hurrying")
			select {}
		},
	})
}

func TestScripts(t *testing.T) {
	configs, err := filepath.Abs("../../configs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CONFIGS", configs)
			return nil
		},
	})
}
