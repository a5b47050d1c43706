package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Keys come from the configuration and from a file, and what is wrong with the
// file is told without them.
func TestKeysFile(t *testing.T) {
	t.Chdir(t.TempDir())
	file := func(content string) API {
		if err := os.WriteFile("keys.txt", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return API{Keys: []string{"0123456789abcdef"}, KeysFile: "keys.txt"}
	}
	keys, err := file("# the shop\n  fedcba9876543210 \r\n\n#\nffffffffffffffff").keys()
	if got := fmt.Sprint(keys); err != nil || got != "[0123456789abcdef fedcba9876543210 ffffffffffffffff]" {
		t.Errorf("got %s, %v", got, err)
	}
	for content, want := range map[string]string{
		"\nfedcba9876543210\ns3cret": "keys.txt:3: expected an API key of 16 to 1024 printable characters without blanks (what was given is not shown)",
		"s3cret s3cret s3cret":       "keys.txt:1: expected an API key of 16 to 1024 printable characters without blanks (what was given is not shown)",
	} {
		if _, err := file(content).keys(); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", content, err, want)
		}
	}
	if _, err := (API{KeysFile: "keys.txt"}).keys(); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	if _, err := (API{KeysFile: "nowhere.txt"}).keys(); err == nil || !strings.Contains(err.Error(), "api.keys_file: open nowhere.txt") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile("keys.txt", []byte("# none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (API{KeysFile: "keys.txt"}).keys(); err == nil || err.Error() != "api.keys_file: keys.txt: no key in it" {
		t.Errorf("got %v", err)
	}
}
