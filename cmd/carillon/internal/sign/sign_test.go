package sign_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/sign"
)

func TestVerify(t *testing.T) {
	const secret = "a-secret-for-tests"
	now := time.Now()
	body := []byte(`{"events":[]}`)
	signed := func(secret string, at time.Time, body []byte) http.Header {
		h := http.Header{}
		sign.Sign(h, secret, at, body)
		return h
	}
	otherTime := signed(secret, now.Add(-time.Second), body)
	otherTime.Set(sign.TimestampHeader, fmt.Sprint(now.Unix()))
	for name, c := range map[string]struct {
		h    http.Header
		want bool
	}{
		"right":          {signed(secret, now, body), true},
		"a little old":   {signed(secret, now.Add(-50*time.Second), body), true},
		"other secret":   {signed("x", now, body), false},
		"other body":     {signed(secret, now, nil), false},
		"other time":     {otherTime, false},
		"old":            {signed(secret, now.Add(-time.Hour), body), false},
		"of the future":  {signed(secret, now.Add(time.Hour), body), false},
		"nothing at all": {http.Header{}, false},
	} {
		if err := sign.Verify(c.h, secret, now, time.Minute, body); (err == nil) != c.want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// By hand: printf '0.{}' | openssl dgst -sha256 -hmac key
func TestSign(t *testing.T) {
	h := http.Header{}
	sign.Sign(h, "key", time.Unix(0, 0), []byte("{}"))
	if got := h.Get(sign.SignatureHeader); got != "v1=7314351dd949aa7ec06f50fc2c96e618291447672c9b7f10b49d1ce46dad00b3" || h.Get(sign.TimestampHeader) != "0" {
		t.Errorf("got %v", h)
	}
}
