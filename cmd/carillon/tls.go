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
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if k.CAFile != "" {
		pem, err := os.ReadFile(k.CAFile)
		if err != nil {
			return nil, fmt.Errorf("broker.kafka.tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("broker.kafka.tls.ca_file: %s has no certificate in PEM", k.CAFile)
		}
	}
	if k.CertFile != "" {
		own, err := tls.LoadX509KeyPair(k.CertFile, k.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("broker.kafka.tls.cert_file, key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}
