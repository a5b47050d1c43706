package front_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
)

// writeCertificate writes one for a name, and its key.
func writeCertificate(t *testing.T, dir, name string, modified time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(100 * 365 * 24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: own},
	} {
		replace(t, filepath.Join(dir, file), pem.EncodeToMemory(block), modified)
	}
}

func replace(t *testing.T, file string, content []byte, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, modified, modified); err != nil {
		t.Fatal(err)
	}
}

// served is the name in the certificate that a client gets.
func served(t *testing.T, c *front.Certificate) string {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() { // ends with a
		_ = tls.Server(b, c.Config()).Handshake()
		b.Close()
	}()
	client := tls.Client(a, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var log bytes.Buffer
		writeCertificate(t, dir, "first", time.Unix(1000, 0))
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		c, err := front.LoadCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := served(t, c); got != "first" {
			t.Errorf("got %q", got)
		}

		// A file that is half written does no harm, and is looked at again.
		good, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, cert, good[:20], time.Unix(2000, 0))
		time.Sleep(5 * time.Second)
		if got := served(t, c); got != "first" || !strings.Contains(log.String(), "the one before stays") {
			t.Errorf("got %q, and the log says %s", got, &log)
		}
		if err := c.Reload(); err == nil {
			t.Error("Reload of half a file: got nil")
		}
		writeCertificate(t, dir, "second", time.Unix(3000, 0))
		if got := served(t, c); got != "first" {
			t.Errorf("got %q before the files were looked at", got)
		}
		time.Sleep(5 * time.Second)
		if got := served(t, c); got != "second" {
			t.Errorf("got %q, want the new one", got)
		}
		writeCertificate(t, dir, "third", time.Unix(4000, 0))
		if err := c.Reload(); err != nil {
			t.Error(err)
		}
		if got := served(t, c); got != "third" {
			t.Errorf("got %q, want the one that was asked for", got)
		}
	})
	if _, err := front.LoadCertificate("nope", "nope", nil); err == nil {
		t.Error("got nil for files that are not there")
	}
}
