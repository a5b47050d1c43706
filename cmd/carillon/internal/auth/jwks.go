package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	jwksTimeout = 10 * time.Second // bounds one fetch
	jwksPause   = 5 * time.Second  // between fetches because of unknown keys
	maxJWKS     = 1 << 20          // bytes
)

// jwks are the public keys at a URL (RFC 7517). The library reads, keeps and
// chooses them. When they are fetched is ours: its own limit on fetches because
// of an unknown key refuses all who come while the first of them waits, and
// after a rotation that is everyone.
type jwks struct {
	opts    Options
	url     string
	store   jwkset.Storage
	keyfunc keyfunc.Keyfunc
	ctx     context.Context // ours, not a caller's: ends with close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex    // guards all below
	flight chan struct{} // closed when the fetch that is under way has ended; nil: none is
	last   time.Time     // when a fetch began
	loaded bool          // keys were had once
}

func openJWKS(url string, every time.Duration, opts Options) *jwks {
	k := &jwks{opts: opts, url: url, store: jwkset.NewMemoryStorage()}
	k.keyfunc, _ = keyfunc.New(keyfunc.Options{ // fails without a Storage alone
		Storage:      k.store,
		UseWhitelist: []jwkset.USE{jwkset.UseSig, ""},
	})
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.refresh(k.ctx)
	k.wg.Go(func() { // ends with close
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-k.ctx.Done():
				return
			case <-ticker.C:
				k.refresh(k.ctx)
			}
		}
	})
	return k
}

func (k *jwks) close() {
	k.cancel()
	k.mu.Lock()
	k.last = time.Now().Add(24 * time.Hour) // no fetch begins any more
	k.mu.Unlock()
	k.wg.Wait()
}

// keys returns what to check a token's signature with. For a key that is not
// known the set is fetched anew: it may have been rotated.
func (k *jwks) keys(ctx context.Context, token *jwt.Token) ([]jwt.VerificationKey, error) {
	keys, err := k.find(ctx, token)
	if !errors.Is(err, errNoKey) {
		return keys, err
	}
	k.refresh(ctx)
	if keys, err = k.find(ctx, token); !errors.Is(err, errNoKey) {
		return keys, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.loaded {
		return nil, errorf(Unavailable, nil, "tokens can't be verified now")
	}
	return nil, err
}

// find returns the key that a token names, or those of its algorithm if it
// names none.
func (k *jwks) find(ctx context.Context, token *jwt.Token) ([]jwt.VerificationKey, error) {
	key, err := k.keyfunc.KeyfuncCtx(ctx)(token)
	if err != nil {
		if errors.Is(err, jwkset.ErrKeyNotFound) {
			err = errNoKey
		}
		return nil, err
	}
	if set, several := key.(jwt.VerificationKeySet); several {
		keys := fitting(token.Method, set.Keys)
		if len(keys) == 0 {
			return nil, errNoKey
		}
		return keys, nil
	}
	keys := fitting(token.Method, []any{key})
	if len(keys) == 0 {
		return nil, errMethod
	}
	return keys, nil
}

// refresh fetches the keys, unless that was done a moment ago, and returns
// when they are there, or not to be had, or ctx is done. What many want at a
// time is fetched once.
func (k *jwks) refresh(ctx context.Context) {
	k.mu.Lock()
	if k.flight == nil && time.Since(k.last) >= jwksPause {
		flight := make(chan struct{})
		k.flight, k.last = flight, time.Now()
		k.wg.Go(func() { // ends within jwksTimeout
			err := k.fetch()
			k.mu.Lock()
			k.flight, k.loaded = nil, k.loaded || err == nil
			k.mu.Unlock()
			close(flight)
		})
	}
	flight := k.flight
	k.mu.Unlock()
	if flight == nil {
		return
	}
	select {
	case <-flight:
	case <-ctx.Done():
	}
}

func (k *jwks) fetch() error {
	ctx, cancel := context.WithTimeout(k.ctx, jwksTimeout)
	defer cancel()
	// The library fetches at once and puts what it got in the place of all
	// that the store had, or fails and leaves it.
	_, err := jwkset.NewStorageFromHTTP(k.url, jwkset.HTTPClientStorageOptions{
		Ctx:         ctx,
		Client:      &http.Client{Transport: bounded{cmp.Or(k.opts.Transport, http.DefaultTransport)}},
		HTTPTimeout: jwksTimeout,
		Storage:     k.store,
	})
	if f := k.opts.Hooks.KeysLoaded; f != nil {
		f(err)
	}
	if err != nil && k.ctx.Err() == nil {
		k.opts.Logger.Warn("keys for tokens not fetched", "url", k.url, "error", err)
	}
	return err
}

// bounded cuts answers that are longer than any set of keys.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &boundedBody{ReadCloser: res.Body, left: maxJWKS}
	return res, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("answer longer than %d bytes", maxJWKS)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
