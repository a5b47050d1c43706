package rabbitmq_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
)

// scripts are RabbitMQ's own, below the wrappers that want root.
const scripts = "/usr/lib/rabbitmq/bin/"

// A server is a RabbitMQ of the test's own, to be killed.
type server struct {
	dir  string
	port string
	tls  string // the port for TLS, with the certificate that is its own authority
	env  []string
	cmd  *exec.Cmd
}

// A right is what a user may do in the vhost "/": configure, write, read.
type right [3]string

// newServer prepares a server with users, whose password is "correct-horse",
// and does not start it.
func newServer(t *testing.T, users map[string]right) *server {
	t.Helper()
	if _, err := os.Stat(scripts + "rabbitmq-server"); err != nil {
		if os.Getenv("CARILLON_TEST_STRICT") == "1" {
			t.Fatalf("CARILLON_TEST_STRICT is set, but there is no rabbitmq-server to kill: %v", err)
		}
		t.Skip("rabbitmq-server is not installed: no broker to kill")
	}
	s := &server{dir: t.TempDir(), port: freePort(t), tls: freePort(t)}
	epmd := freePort(t)
	s.certify(t)
	s.write(t, "rabbitmq.conf", "load_definitions = "+s.dir+"/definitions.json\nloopback_users = none\n"+
		"listeners.ssl.1 = 127.0.0.1:"+s.tls+"\n"+
		"ssl_options.certfile = "+s.dir+"/cert.pem\nssl_options.keyfile = "+s.dir+"/key.pem\n"+
		"vm_memory_high_watermark.absolute = 512MiB\ndisk_free_limit.absolute = 50MB\n")
	s.write(t, "advanced.config", "[].")
	s.write(t, "enabled_plugins", "[].")
	s.write(t, "definitions.json", definitions(t, users))
	s.env = append(os.Environ(),
		"HOME="+s.dir, "ERL_EPMD_PORT="+epmd, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=test@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+s.port, "RABBITMQ_DIST_PORT="+freePort(t),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_CONFIG_FILE="+s.dir+"/rabbitmq.conf",
		"RABBITMQ_ADVANCED_CONFIG_FILE="+s.dir+"/advanced.config",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+s.dir+"/enabled_plugins",
		"RABBITMQ_MNESIA_BASE="+s.dir+"/mnesia", "RABBITMQ_LOG_BASE="+s.dir, "RABBITMQ_LOGS="+s.dir+"/rabbit.log",
		"RABBITMQ_PID_FILE="+s.dir+"/rabbit.pid", "RUNNING_UNDER_SYSTEMD=1")

	// Erlang would start one that outlives it.
	names := exec.Command("epmd", "-port", epmd, "-address", "127.0.0.1")
	if err := names.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		names.Process.Kill()
		names.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.dir, "rabbit.log"))
			t.Logf("the end of RabbitMQ's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return s
}

func definitions(t *testing.T, rights map[string]right) string {
	type object = map[string]any
	users, permissions := []object{}, []object{}
	for name, r := range rights {
		salt := "salt"
		hash := sha256.Sum256([]byte(salt + "correct-horse"))
		users = append(users, object{
			"name": name, "tags": "", "hashing_algorithm": "rabbit_password_hashing_sha256",
			"password_hash": base64.StdEncoding.EncodeToString(append([]byte(salt), hash[:]...)),
		})
		permissions = append(permissions, object{"user": name, "vhost": "/", "configure": r[0], "write": r[1], "read": r[2]})
	}
	b, err := json.Marshal(object{"vhosts": []object{{"name": "/"}, {"name": "closed"}}, "users": users, "permissions": permissions})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// certify makes a certificate for the server's address.
func (s *server) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	s.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func (s *server) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (s *server) addr() string           { return "127.0.0.1:" + s.port }
func (s *server) url(user string) string { return "amqp://" + user + ":correct-horse@" + s.addr() }

// launch starts the server; await returns when it answers.
func (s *server) launch(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(scripts + "rabbitmq-server")
	s.cmd.Env, s.cmd.Dir = s.env, s.dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (s *server) await(t *testing.T) {
	t.Helper()
	eventuallyIn(t, 2*time.Minute, "rabbitmq-server answers", func() bool { // 8 s, if nothing else is to be done
		c, err := net.Dial("tcp", s.addr())
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(c, "AMQP\x00\x00\x09\x01")
		n, err := c.Read(make([]byte, 100))
		return n > 0 && err == nil
	})
}

// kill ends the server as kill -9 does.
func (s *server) kill() {
	if s.cmd != nil {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // the group is the server's own
		s.cmd.Wait()
		s.cmd = nil
	}
}

// ctl asks the server something, which takes a second.
func (s *server) ctl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(scripts+"rabbitmqctl", append([]string{"-q"}, args...)...)
	cmd.Env, cmd.Dir = s.env, s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// eventually polls what cannot be waited for in another way.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	eventuallyIn(t, 2*brokertest.Patience, what, f)
}

func eventuallyIn(t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(limit)
	for !f() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
