package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// config returns what the files say, or nil if TLS is off.
func (k KafkaTLS) config() (*tls.Config, error) {
	if !k.Enabled {
		return nil, nil
	}
	return tlsConfig("broker.kafka.tls", k.CAFile, k.CertFile, k.KeyFile)
}

// tls returns what the files say, or nil if there are none.
func (r Redis) tls() (*tls.Config, error) {
	if r.TLS == (RedisTLS{}) {
		return nil, nil
	}
	return tlsConfig("broker.redis.tls", r.TLS.CAFile, r.TLS.CertFile, r.TLS.KeyFile)
}

// tlsConfig reads the files that are named below section.
func tlsConfig(section, caFile, certFile, keyFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("%s.ca_file: %w", section, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s.ca_file: %s has no certificate in PEM", section, caFile)
		}
	}
	if certFile != "" {
		own, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("%s.cert_file, key_file: %w", section, err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}
