package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOwnAddresses gives the API and the metrics addresses of their own, and
// looks what is where; and that keys are in no log and no answer.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	const hookSecret = "another-secret-for-tests"
	i := startInstance(t, "one", "CARILLON_API__KEYS="+apiKey, "CARILLON_API__LISTEN=127.0.0.1:0", "CARILLON_METRICS__LISTEN=127.0.0.1:0",
		"CARILLON_WEBHOOKS__URL=http://user:"+hookSecret+"@127.0.0.1:1/", "CARILLON_WEBHOOKS__SECRET="+hookSecret, "CARILLON_LOG__LEVEL=debug")
	at := map[string]string{"": i.addr}
	i.mu.Lock()
	for line := range strings.Lines(i.log.String()) {
		var said struct{ Msg, For, Addr string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" {
			at[said.For] = said.Addr
		}
	}
	i.mu.Unlock()

	var seen strings.Builder
	get := func(addr, path, key string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		_, _ = io.Copy(&seen, answer.Body)
		return answer.StatusCode
	}
	const clients, metrics, api = "", "metrics", "the API"
	for _, c := range []struct {
		at, path, key string
		want          int
	}{
		{clients, "/healthz", "", 200},
		{clients, "/readyz", "", 200},
		{clients, "/metrics", "", 404},
		{clients, "/api/v1/nodes", apiKey, 404},
		{clients, "/socket.io/?EIO=4&transport=polling", "", 200},
		{clients, "/", "", 200},
		{metrics, "/healthz", "", 200},
		{metrics, "/readyz", "", 200},
		{metrics, "/metrics", "", 200},
		{metrics, "/api/v1/nodes", apiKey, 404},
		{metrics, "/socket.io/?EIO=4&transport=polling", "", 404},
		{api, "/api/v1/nodes", apiKey, 200},
		{api, "/api/v1/nodes", "", 401},
		{api, "/api/v1/nodes", "wrong", 401},
		{api, "/api/v1/openapi.yaml", "", 200},
		{api, "/metrics", "", 404},
		{api, "/socket.io/?EIO=4&transport=polling", "", 404},
	} {
		if c.path == "/readyz" { // once it knows who else is there
			eventually(t, "it is not ready", func() bool { return get(at[c.at], c.path, c.key) == c.want })
		}
		if got := get(at[c.at], c.path, c.key); got != c.want {
			t.Errorf("%s of %q: got %d, want %d", c.path, c.at, got, c.want)
		}
	}
	user(t, i, "alice") // of whom the back end that is not there cannot be told
	eventually(t, "no webhook failed", func() bool {
		return scrapeAt(t, at[metrics])["carillon_webhook_failures_total"] > 0
	})
	get(at[metrics], "/metrics", "")
	i.stop(t)
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, secret := range []string{apiKey, hookSecret} {
		if strings.Contains(i.log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
		if strings.Contains(seen.String(), secret) {
			t.Errorf("%s is in an answer", secret)
		}
	}
}

// TestNoKeys has no API where there is no key.
func TestNoKeys(t *testing.T) {
	i := startInstance(t, "one")
	answer, err := http.Get(i.url() + "/api/v1/nodes")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("got %d", answer.StatusCode)
	}
}

// TestKeysAreReplaced changes the file with the keys, and has it read again.
func TestKeysAreReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(keys string) {
		if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(apiKey + "\nanother-key-0123456789\n")
	i := startInstance(t, "one", "CARILLON_API__KEYS_FILE="+file)
	status := func(key string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url()+"/api/v1/nodes", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-API-Key", key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if a, b := status(apiKey), status("another-key-0123456789"); a != 200 || b != 200 {
		t.Errorf("got %d and %d", a, b)
	}
	write("a-new-key-0123456789\n")
	if err := i.running.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new key is not taken", func() bool { return status("a-new-key-0123456789") == 200 })
	if got := status(apiKey); got != 401 {
		t.Errorf("a key that was withdrawn: got %d", got)
	}
}
