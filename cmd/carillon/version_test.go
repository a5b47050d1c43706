package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	platform := " go1.26.0 " + runtime.GOOS + "/" + runtime.GOARCH
	revision := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}, {Key: "vcs.modified", Value: "true"},
	}
	for _, c := range []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", nil, "carillon v1.2.3" + platform},
		{"", nil, "carillon (devel)" + platform},
		{"(devel)", revision[:1], "carillon (devel) revision 0123456789ab" + platform},
		{"(devel)", revision, "carillon (devel) revision 0123456789ab (modified)" + platform},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: c.version}, Settings: c.settings}
		if got := describe(info); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
