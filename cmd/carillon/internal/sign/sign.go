// Package sign marks the calls to back ends as ours, and checks the mark as a
// back end does.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed call.
const (
	TimestampHeader = "Carillon-Timestamp" // Unix time in seconds
	SignatureHeader = "Carillon-Signature" // "v1=" and HMAC-SHA256 in hex
)

// Sign marks a call: the signature is that of the timestamp, a dot and the
// body, so that neither can be changed nor, for long, be sent again.
func Sign(h http.Header, secret string, now time.Time, body []byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	h.Set(TimestampHeader, timestamp)
	h.Set(SignatureHeader, "v1="+signature(secret, timestamp, body))
}

// Verify is what a receiver does with a call: it checks the signature, and that
// the call is at most as old as tolerance.
func Verify(h http.Header, secret string, now time.Time, tolerance time.Duration, body []byte) error {
	timestamp := h.Get(TimestampHeader)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return errors.New("no timestamp")
	}
	given := strings.TrimPrefix(strings.TrimSpace(h.Get(SignatureHeader)), "v1=")
	if !hmac.Equal([]byte(given), []byte(signature(secret, timestamp, body))) {
		return errors.New("wrong signature")
	}
	if now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return errors.New("timestamp out of tolerance")
	}
	return nil
}

func signature(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
