package front

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often files are looked at for a change, at most.
const lookEvery = 5 * time.Second

// A Certificate is one in files that are replaced while the server runs. Its
// methods may be called concurrently.
type Certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu     sync.Mutex // guards all below
	cert   *tls.Certificate
	looked time.Time
	seen   [2]stamp // of the files when they were read
}

// A stamp changes with a file.
type stamp struct {
	modified time.Time
	size     int64
}

// LoadCertificate reads a certificate and its key, in PEM.
func LoadCertificate(certFile, keyFile string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files anew. If they are no good, what there was stays.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(c.stamps())
}

// load needs mu.
func (c *Certificate) load(now [2]stamp) error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s, %s: %w", c.certFile, c.keyFile, err)
	}
	c.cert, c.seen, c.looked = &cert, now, time.Now()
	return nil
}

// stamps come before the reading, so that a change in between is seen later.
func (c *Certificate) stamps() (s [2]stamp) {
	for i, file := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(file); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// get returns the certificate, the new one if the files have changed. A file
// that is being replaced may be no good for a moment: it is tried again.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.cert, nil
	}
	c.looked = time.Now()
	if now := c.stamps(); now != c.seen {
		if err := c.load(now); err != nil {
			c.logger.Error("the changed certificate cannot be used; the one before stays", "error", err)
		} else {
			c.logger.Info("certificate changed", "file", c.certFile)
		}
	}
	return c.cert, nil
}

// Config returns how to speak TLS with the certificate. Sessions are
// WebSockets, which are HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.get,
		NextProtos:     []string{"http/1.1"},
	}
}
