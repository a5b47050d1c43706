package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version says what this binary was built from, for people and bug reports:
// the module's version, the revision if the build saw one, and Go's version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fmt.Sprintf("carillon (unknown build) %s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	}
	return describe(info)
}

// release is the module's version, or "(devel)".
func release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func describe(info *debug.BuildInfo) string {
	release := info.Main.Version
	if release == "" {
		release = "(devel)"
	}
	var revision, modified string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = " revision " + s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				modified = " (modified)"
			}
		}
	}
	return fmt.Sprintf("carillon %s%s%s %s %s/%s", release, revision, modified, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
