package main

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKafkaTLS(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	ca := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	junk := write("junk.pem", []byte("junk"))

	if c, err := (KafkaTLS{CAFile: "nowhere"}).config(); c != nil || err != nil {
		t.Errorf("turned off: got %v, %v", c, err)
	}
	c, err := (KafkaTLS{Enabled: true, CAFile: ca}).config()
	if err != nil || c.RootCAs == nil {
		t.Errorf("got %v, %v, want the authority of the file", c, err)
	}
	for want, k := range map[string]KafkaTLS{
		"tls.ca_file: open":  {CAFile: filepath.Join(dir, "nowhere")},
		"no certificate":     {CAFile: junk},
		"tls.cert_file, key": {CertFile: ca, KeyFile: junk},
	} {
		k.Enabled = true
		if _, err := k.config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
