package redis_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/redis"
)

// identity is a certificate for 127.0.0.1 with its key, as a file and as what
// both sides trust and show.
func identity(t *testing.T) (file string, conf *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	var out bytes.Buffer
	check(t, pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	check(t, pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	file = filepath.Join(t.TempDir(), "identity.pem")
	check(t, os.WriteFile(file, out.Bytes(), 0o600))
	conf = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
	conf.RootCAs.AppendCertsFromPEM(out.Bytes())
	return file, conf
}

// TLS with certificates of both sides, for one Redis and for a Redis Cluster.
func TestTLS(t *testing.T) {
	file, conf := identity(t)
	port := freePort(t)
	s := newServer(t,
		"--tls-port", fmt.Sprint(port), "--tls-auth-clients", "yes",
		"--tls-cert-file", file, "--tls-key-file", file, "--tls-ca-cert-file", file,
		"--cluster-enabled", "yes", "--cluster-port", fmt.Sprint(freePort(t)), "--tls-cluster", "yes",
		"--cluster-announce-ip", "127.0.0.1") // which nobody else tells it
	s.start(t)
	check(t, s.client(t).ClusterAddSlotsRange(t.Context(), 0, slots-1).Err())
	eventually(t, "the cluster is whole", func() bool {
		return strings.Contains(s.client(t).ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	for _, mode := range []redis.Mode{redis.Standalone, redis.Cluster} {
		cfg := redis.Config{URL: fmt.Sprint("rediss://127.0.0.1:", port), Mode: mode, TLS: conf, Logger: silent}
		roundTrip(t, openAll(t, cfg, 1)[0])
		for want, wrong := range map[string]*tls.Config{
			"certificate that is not trusted":         {Certificates: conf.Certificates},
			"it may want a certificate of the client": {RootCAs: conf.RootCAs},
		} {
			cfg.TLS = wrong
			d, err := redis.Open(t.Context(), cfg)
			if err == nil {
				d.Close()
			}
			if got := fmt.Sprint(err); !strings.Contains(got, want) {
				t.Errorf("%s: got %v, want %q in it", mode, got, want)
			}
		}
	}
}
