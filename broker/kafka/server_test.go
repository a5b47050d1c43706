package kafka_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker/brokertest"
)

// A server is a Kafka of the test's own, to be killed and to be refused by.
type server struct {
	dir                    string
	plain, sasl, tls, ctrl string // host:port of each listener
	trust                  *x509.CertPool
	cmd                    *exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	brokertest.Env(t, "CARILLON_TEST_KAFKA") // who has none wants no test of Kafka
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	jars, _ := filepath.Glob(filepath.Join(cache, "carillon", "kafka-*", "kafka_2.13-*.jar"))
	if _, err := exec.LookPath("java"); err != nil || len(jars) == 0 {
		if os.Getenv("CARILLON_TEST_STRICT") == "1" {
			t.Fatal("there is no Kafka to kill: .ci/brokers start kafka fetches it")
		}
		t.Skip("there is no Kafka to kill: .ci/brokers start kafka fetches it")
	}
	s := &server{dir: t.TempDir(), trust: x509.NewCertPool()}
	for _, addr := range []*string{&s.plain, &s.sasl, &s.tls, &s.ctrl} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		*addr = l.Addr().String()
	}
	s.certify(t)
	t.Cleanup(s.kill)
	return s
}

// certify writes a certificate for 127.0.0.1 that trust trusts.
func (s *server) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for kind, data := range map[string][]byte{"PRIVATE KEY": private, "CERTIFICATE": cert} {
		if err := pem.Encode(&out, &pem.Block{Type: kind, Bytes: data}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "certificate.pem"), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.trust.AppendCertsFromPEM(out.Bytes())
}

// start returns when the server answers. With kill before, it has its data.
func (s *server) start(t *testing.T) {
	t.Helper()
	args := []string{"testdata/kafka.sh", s.dir}
	for _, addr := range []string{s.plain, s.sasl, s.tls, s.ctrl} {
		_, port, _ := net.SplitHostPort(addr)
		args = append(args, port)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command("bash", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the script's own children are killed too
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Metadata.Retry.Max = 0
	for end := time.Now().Add(60 * time.Second); ; {
		c, err := sarama.NewClient([]string{s.plain}, conf)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) || syscall.Kill(s.cmd.Process.Pid, 0) != nil {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("Kafka does not come up: %v\n%s", err, text)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// kill ends the server as kill -9 does.
func (s *server) kill() {
	if s.cmd != nil {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		s.cmd.Wait()
		s.cmd = nil
	}
}
