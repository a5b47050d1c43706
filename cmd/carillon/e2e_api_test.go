package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
)

const apiKey = "a-key-for-tests-0123456789"

// startPairWithAPI is startPair with the HTTP API and metrics on both.
func startPairWithAPI(t *testing.T, environ ...string) (a, b *instance) {
	t.Helper()
	return startPairOver(t, "redis", append(environ, "REDIS_URL="+testRedis(t), "CARILLON_API__KEYS="+apiKey)...)
}

// TestSchemathesis has a program that reads openapi.yaml try an instance of two
// against it: whatever it sends, no answer has status 5xx, and each is as the
// file says.
func TestSchemathesis(t *testing.T) {
	dir, err := filepath.Abs("../../testdata/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	need(t, err == nil, "python3 is not installed")
	_, err = os.Stat(filepath.Join(dir, "python", "schemathesis"))
	need(t, err == nil, "schemathesis is not installed: see testdata/schemathesis/requirements.txt")
	a, _ := startPairWithAPI(t)

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	// The seed makes a failure come again.
	cmd := exec.CommandContext(ctx, python, "-m", "schemathesis.cli", "run", a.url()+"/api/v1/openapi.yaml",
		"--url", a.url()+"/api/v1", "--header", "Authorization: Bearer "+apiKey,
		"--checks", "all", "--max-examples", "8", "--seed", "20261125", "--no-color",
		"--suppress-health-check", "too_slow") // the machine may be busy
	cmd.Dir = t.TempDir() // it leaves caches behind
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "python")+string(os.PathListSeparator)+dir, "SCHEMATHESIS_HOOKS=hooks")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// call asks the API of an instance, and decodes a good answer.
func call(t *testing.T, i *instance, method, path, body string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, i.url()+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, text, err)
	}
}

// plain has events come as they were said, without recovery's offset behind them.
const plain = "CARILLON_RECOVERY__ENABLED=false"

// TestAPI has each call of the HTTP API made at one instance, and looks what the
// clients of the other one hear of it.
func TestAPI(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (a, b *instance){
		"redis": func(t *testing.T) (a, b *instance) { return startPairWithAPI(t, plain) },
		"rabbitmq": func(t *testing.T) (a, b *instance) {
			return startPairOver(t, "rabbitmq", plain, "CARILLON_API__KEYS="+apiKey, "RABBITMQ_URL="+brokertest.Env(t, "CARILLON_TEST_RABBITMQ"))
		},
		"kafka": func(t *testing.T) (a, b *instance) {
			return startPairOver(t, "kafka", plain, "CARILLON_API__KEYS="+apiKey, "KAFKA_BROKERS="+brokertest.Env(t, "CARILLON_TEST_KAFKA"),
				"CARILLON_BROKER__KAFKA__TOPIC=carillon-e2e", "CARILLON_BROKER__KAFKA__RETENTION=1m")
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t)
			tryAPI(t, a, b)
		})
	}
}

func tryAPI(t *testing.T, a, b *instance) {
	bob, eve := user(t, b, "bob"), user(t, b, "eve")
	var online struct {
		Users []struct {
			User    string
			Online  bool
			Devices int
			Nodes   []string
		}
	}
	eventually(t, "node-a does not see bob and eve", func() bool {
		call(t, a, "POST", "presence/query", `{"users":["bob","eve","zoe"]}`, &online)
		return online.Users[0].Online && online.Users[1].Online
	})
	if got := fmt.Sprint(online.Users); got != "[{bob true 1 [node-b]} {eve true 1 [node-b]} {zoe false 0 []}]" {
		t.Errorf("presence/query: %s", got)
	}
	var page struct {
		Users []struct{ User string }
		Total int
	}
	if call(t, a, "GET", "presence/users", "", &page); fmt.Sprint(page) != "{[{bob} {eve}] 2}" {
		t.Errorf("presence/users: %v", page)
	}
	var nodes struct {
		Nodes []struct {
			Name        string
			Sockets     int
			Broker      string
			Connections struct{ Websocket int }
		}
	}
	if call(t, a, "GET", "nodes", "", &nodes); fmt.Sprint(nodes) != "{[{node-a 0 up {0}} {node-b 2 up {2}}]}" {
		t.Errorf("nodes: %v", nodes)
	}

	var sent struct {
		ID      string
		Users   []struct{ Devices int }
		Offline []string
	}
	call(t, a, "POST", "messages", `{"to":["bob","zoe"],"from":"shop","data":{"n":1}}`, &sent)
	if sent.Users[0].Devices != 1 || fmt.Sprint(sent.Offline) != "[zoe]" {
		t.Errorf("messages: %v", sent)
	}
	if got := until(bob, `42["message",`); !strings.HasPrefix(got, `42["message",{"id":"`+sent.ID+`","from":"shop","data":{"n":1},"at":`) {
		t.Errorf("bob got %s", got)
	}

	var any struct{ Sockets int }
	call(t, a, "POST", "notifications", `{"users":["bob"],"event":"note","data":"yours","receipt":true}`, &any)
	until(bob, `42["note","yours"]`)
	call(t, a, "POST", "sockets/join", `{"users":["bob"],"join":["tea"]}`, &any)
	call(t, a, "POST", "notifications", `{"rooms":["tea"],"event":"note","data":"tea"}`, &any)
	until(bob, `42["note","tea"]`)
	bob.Send(`427["room:message",{"room":"tea","data":"I am in"}]`) // as if bob had joined
	until(bob, `42["room:message",`)
	call(t, a, "POST", "emit", `{"except_users":["eve"],"event":"e","args":[1,"x",null]}`, &any)
	until(bob, `42["e",1,"x",null]`)
	call(t, a, "POST", "notifications", `{"all":true,"event":"note","data":"all"}`, &any)
	until(bob, `42["note","all"]`)
	for { // the first that eve gets but for presence
		if got := eve.Read(); got == `42["note","all"]` {
			break
		} else if !strings.HasPrefix(got, `42["presence:`) {
			t.Fatalf("eve got %s", got)
		}
	}

	var rooms struct {
		Rooms []struct {
			Room    string
			Sockets int
		}
	}
	if call(t, a, "GET", "rooms", "", &rooms); fmt.Sprint(rooms) != "{[{tea 1}]}" {
		t.Errorf("rooms: %v", rooms)
	}
	var sockets struct {
		Sockets []struct {
			ID, User, Node string
			Rooms          []string
		}
	}
	call(t, a, "GET", "sockets?room=tea", "", &sockets)
	if len(sockets.Sockets) != 1 || sockets.Sockets[0].User != "bob" || sockets.Sockets[0].Node != "node-b" {
		t.Fatalf("sockets: %v", sockets)
	}
	call(t, a, "POST", "sockets/leave", `{"sockets":["`+sockets.Sockets[0].ID+`"],"leave":["tea"]}`, &any)
	if call(t, a, "GET", "rooms", "", &rooms); len(rooms.Rooms) != 0 {
		t.Errorf("rooms after leave: %v", rooms)
	}
	call(t, a, "POST", "sockets/disconnect", `{"users":["bob"]}`, &any)
	until(bob, "41")
	call(t, a, "DELETE", "users/eve/sockets", "", &any)
	until(eve, "41")
	eve.WantClosed()
}
