package auth

import (
	"crypto"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often a file is looked at for a change, at most.
const lookEvery = 5 * time.Second

// A keyFile has public keys in a file that may be replaced.
type keyFile struct {
	name   string
	logger *slog.Logger

	mu       sync.Mutex // guards all below
	keys     []crypto.PublicKey
	looked   time.Time
	modified time.Time
	size     int64
}

func openKeyFile(name string, logger *slog.Logger) (*keyFile, error) {
	f := &keyFile{name: name, logger: logger}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// read needs mu, unless nobody else has f yet. The file's time comes before its
// content, so that a change in between is seen later.
func (f *keyFile) read() error {
	f.looked = time.Now()
	info, err := os.Stat(f.name)
	if err != nil {
		return fmt.Errorf("auth.jwt.key_file: %w", err)
	}
	if info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return nil
	}
	text, err := os.ReadFile(f.name)
	if err != nil {
		return fmt.Errorf("auth.jwt.key_file: %w", err)
	}
	keys, err := publicKeys(text)
	if err != nil {
		return fmt.Errorf("auth.jwt.key_file: %s: %w", f.name, err)
	}
	f.keys, f.modified, f.size = keys, info.ModTime(), info.Size()
	return nil
}

// all returns the keys. Those there were stay while the file is no good, as one
// that is being replaced may be.
func (f *keyFile) all() []crypto.PublicKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= lookEvery {
		if err := f.read(); err != nil {
			f.logger.Error("the changed keys cannot be used; those before stay", "error", err)
		}
	}
	return f.keys
}
