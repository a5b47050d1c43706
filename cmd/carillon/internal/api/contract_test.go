package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
)

// A contract is what openapi.yaml promises.
type contract struct {
	doc  map[string]any
	seen map[string]bool // "POST /messages 200"
	c    *jsonschema.Compiler
}

func readContract(t *testing.T) *contract {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	c := &contract{doc: doc, seen: make(map[string]bool), c: jsonschema.NewCompiler()}
	// As JSON has it, which knows no integers.
	asJSON, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.c.AddResource("mem:///openapi.json", parsed); err != nil {
		t.Fatal(err)
	}
	return c
}

// at follows keys into the document, and references on the way.
func (c *contract) at(t *testing.T, path ...string) (map[string]any, string) {
	t.Helper()
	at, pointer := c.doc, "#"
	for _, key := range path {
		next, ok := at[key].(map[string]any)
		if !ok {
			t.Fatalf("openapi.yaml has no %v", path)
		}
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		if ref, ok := next["$ref"].(string); ok {
			next, pointer = c.at(t, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
		at = next
	}
	return at, pointer
}

// schema returns the schema at a place of the document.
func (c *contract) schema(t *testing.T, path ...string) *jsonschema.Schema {
	t.Helper()
	_, pointer := c.at(t, path...)
	s, err := c.c.Compile("mem:///openapi.json" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check holds an answer to the contract.
func (c *contract) check(t *testing.T, method, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	place := []string{"paths", path, strings.ToLower(method), "responses", fmt.Sprint(w.Code)}
	response, _ := c.at(t, place...)
	c.seen[fmt.Sprintf("%s %s %d", method, path, w.Code)] = true
	media, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.schema(t, append(place, "content", media, "schema")...).Validate(body); err != nil {
		t.Errorf("%s %s %d: %v", method, path, w.Code, err)
	}
	headers, _ := response["headers"].(map[string]any)
	if _, promised := headers["WWW-Authenticate"]; promised && w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%s %s %d: without WWW-Authenticate", method, path, w.Code)
	}
}

// accepts reports whether the contract has a request's body as valid.
func (c *contract) accepts(t *testing.T, path, body string) bool {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return false
	}
	return c.schema(t, "paths", path, "post", "requestBody", "content", "application/json", "schema").Validate(v) == nil
}

// Every answer is one that openapi.yaml promises, every promise is kept, and
// what the file says of bodies is what is accepted.
func TestContract(t *testing.T) {
	c := readContract(t)
	a, _ := pair(t)
	small := newNode(t, memory.NewHub(), "small", func(o *api.Options) { o.MaxBody = 10 })
	closed := newNode(t, memory.NewHub(), "closed", nil)
	closed.bus.Close()

	for _, op := range []struct {
		method, path string
		sends        bool
		valid        []string // bodies, or paths of a GET
		invalid      []string
		missing      string // names a namespace that is not there
	}{
		{
			"POST", "/messages", true,
			[]string{`{"to":["alice"],"data":null}`, `{"to":["é","é"],"from":"","data":{"a":[1]}}`},
			[]string{
				`[]`, `{}`, `{"to":[],"data":1}`, `{"to":"alice","data":1}`, `{"to":["alice"]}`, `{"to":[null],"data":1}`,
				`{"to":null,"data":1}`, `{"to":["a\u0000"],"data":1}`, `{"to":["a"],"data":1,"x":1}`, `{"To":["a"],"data":1}`,
				`{"to":["a"],"data":1,"from":null}`, `{"to":["` + strings.Repeat("é", 129) + `"],"data":1}`,
			},
			"",
		},
		{
			"POST", "/notifications", true,
			[]string{
				`{"users":["a"],"event":"e","data":1}`, `{"rooms":["a"],"users":["b"],"event":"e","data":1,"receipt":true}`,
				`{"all":true,"event":"e","data":null,"volatile":true}`, `{"all":true,"users":[],"event":"e","data":null}`,
				`{"all":false,"users":["a"],"event":"e","data":null,"receipt":true}`,
			},
			[]string{
				`{"event":"e","data":1}`, `{"users":[],"event":"e","data":1}`, `{"all":true,"rooms":["a"],"event":"e","data":1}`,
				`{"all":"yes","event":"e","data":1}`, `{"all":true,"data":1}`, `{"all":true,"event":"connect","data":1}`,
				`{"all":true,"event":"e"}`, `{"all":true,"event":"e","data":1,"volatile":null}`, `{"all":true,"event":"","data":1}`,
			},
			"",
		},
		{
			"POST", "/emit", true,
			[]string{
				`{"event":"e"}`, `{"namespace":"/","rooms":["r"],"except":["x"],"event":"e","args":[1,null,{}],"receipt":true}`,
				`{"users":["u"],"except_users":["v"],"sockets":["01234567890123456789"],"except_sockets":[],"event":"e","volatile":true}`,
			},
			[]string{
				`{}`, `{"event":"e","args":{}}`, `{"event":"e","args":null}`, `{"event":"e","sockets":["short"]}`,
				`{"event":"e","namespace":"chat"}`, `{"event":"e","namespace":""}`, `{"event":1}`, `{"event":"disconnect"}`,
				`{"event":"e","all":true}`, `{"event":"e","args":[` + strings.Repeat("1,", 100) + `1]}`,
			},
			`{"event":"e","namespace":"/nowhere"}`,
		},
		{
			"POST", "/sockets/join", false,
			[]string{`{"users":["a"],"join":["r"]}`, `{"all":true,"join":["r","s"],"except":["x"]}`},
			[]string{`{"join":["r"]}`, `{"users":["a"]}`, `{"users":["a"],"join":[]}`, `{"users":["a"],"join":null}`, `{"all":true,"sockets":["01234567890123456789"],"join":["r"]}`},
			`{"all":true,"join":["r"],"namespace":"/nowhere"}`,
		},
		{
			"POST", "/sockets/leave", false,
			[]string{`{"rooms":["a"],"leave":["r"]}`},
			[]string{`{"leave":["r"]}`, `{"users":["a"],"join":["r"]}`},
			`{"all":true,"leave":["r"],"namespace":"/nowhere"}`,
		},
		{
			"POST", "/sockets/disconnect", false,
			[]string{`{"users":["nobody"]}`, `{"sockets":["01234567890123456789"],"close":true}`},
			[]string{`{}`, `{"all":false}`, `{"all":true,"close":1}`},
			`{"all":true,"namespace":"/nowhere"}`,
		},
		{"POST", "/presence/query", false, []string{`{"users":["a","b"]}`}, []string{`{}`, `{"users":[]}`, `{"users":["a"],"x":1}`}, ""},
		{
			"GET", "/sockets", false,
			[]string{"", "?namespace=/&user=a&room=r&limit=1", "?cursor=6162"},
			[]string{"?limit=0", "?limit=1001", "?limit=x", "?cursor=!", "?cursor=", "?user=", "?x=1", "?limit=1&limit=2", "?namespace=x"},
			"?namespace=/nowhere",
		},
		{"GET", "/rooms", false, []string{"", "?prefix=a"}, []string{"?prefix=%00"}, "?namespace=/nowhere"},
		{"GET", "/presence/users", false, []string{"", "?limit=1000"}, []string{"?namespace=/"}, ""},
		{"GET", "/nodes", false, []string{""}, []string{"?limit=1"}, ""},
		{"DELETE", "/users/{user}/sockets", false, []string{""}, []string{"?x=1"}, ""},
	} {
		t.Run(op.method+op.path, func(t *testing.T) {
			path := strings.ReplaceAll(strings.TrimPrefix(op.path, "/"), "{user}", "%2e%2e%2F")
			call := func(n *node, what, k string, h http.Header) *httptest.ResponseRecorder {
				e := exchange{method: op.method, path: path, key: k, header: h}
				if op.method == "POST" {
					e.body = what
				} else {
					e.path += what
				}
				return n.do(e)
			}
			expect := func(w *httptest.ResponseRecorder, what string, status int) {
				t.Helper()
				if w.Code != status {
					t.Errorf("%.80s: got %d %s, want %d", what, w.Code, w.Body, status)
				}
				c.check(t, op.method, op.path, w)
			}
			for _, what := range op.valid {
				expect(call(a, what, "", nil), what, 200)
				if op.method == "POST" && !c.accepts(t, op.path, what) {
					t.Errorf("openapi.yaml does not accept %s", what)
				}
			}
			for _, what := range op.invalid {
				expect(call(a, what, "", nil), what, 422)
				if op.method == "POST" && c.accepts(t, op.path, what) {
					t.Errorf("openapi.yaml accepts %s", what)
				}
			}
			for _, k := range []string{"-", "wrong", key + "x", " "} {
				expect(call(a, op.valid[0], k, nil), k, 401)
			}
			if op.missing != "" {
				expect(call(a, op.missing, "", nil), op.missing, 404)
			}
			if op.method == "POST" {
				for _, what := range []string{``, `{`, `{"to":`, `{}{}`, "{\"\xff\":}"} {
					expect(call(a, what, "", nil), what, 400)
				}
				expect(call(small, op.valid[0], "", nil), "a long body", 413)
				expect(call(a, op.valid[0], "", http.Header{"Content-Type": {"text/plain"}}), "a text", 415)
			} else {
				expect(call(a, "?%zz", "", nil), "a query that is none", 400)
			}
			if responses, _ := c.at(t, "paths", op.path, strings.ToLower(op.method), "responses"); responses["503"] != nil {
				expect(call(closed, op.valid[0], "", nil), "a node that stops", 503)
			}
			if op.sends {
				g := newGate()
				a.block.Store(g)
				first := make(chan *httptest.ResponseRecorder, 1)
				h := http.Header{"Idempotency-Key": {"slow " + op.path}}
				what := op.valid[1]
				go func() { first <- call(a, what, "", h) }() // ends when g is opened
				<-g.reached
				a.block.Store(nil)
				expect(call(a, what, "", h), "a second request", 409)
				close(g.opened)
				expect(<-first, what, 200)
			}
		})
	}

	paths, _ := c.at(t, "paths")
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			for status := range op.(map[string]any)["responses"].(map[string]any) {
				if place := fmt.Sprintf("%s %s %s", strings.ToUpper(method), path, status); !c.seen[place] {
					t.Errorf("%s was not seen", place)
				}
			}
		}
	}
	if len(paths) == 0 {
		t.Errorf("no paths, only %v", slices.Sorted(maps.Keys(c.doc)))
	}
}

// The description is served, to anybody.
func TestDescription(t *testing.T) {
	a := newNode(t, memory.NewHub(), "a", nil)
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w := a.do(exchange{method: "GET", path: "openapi.yaml", key: "-"})
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), text) || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d %q, and not the file", w.Code, w.Header().Get("Content-Type"))
	}
}

// What is no route is answered with a problem too.
func TestNoRoute(t *testing.T) {
	a := newNode(t, memory.NewHub(), "a", nil)
	for _, c := range []struct {
		method, path, code, allow string
		status                    int
	}{
		{"GET", "", "not_found", "", 404},
		{"GET", "nowhere", "not_found", "", 404},
		{"GET", "messages/", "not_found", "", 404},
		{"DELETE", "users//sockets", "not_found", "", 404},
		{"DELETE", "users/a/b/sockets", "not_found", "", 404},
		{"GET", "../../etc/passwd", "not_found", "", 404},
		{"GET", "messages", "method_not_allowed", "POST", 405},
		{"PATCH", "sockets", "method_not_allowed", "GET, HEAD", 405},
		{"TRACE", "nodes", "method_not_allowed", "GET, HEAD", 405},
		{"POST", "users/a/sockets", "method_not_allowed", "DELETE", 405},
		{"POST", "openapi.yaml", "method_not_allowed", "GET, HEAD", 405},
	} {
		w := a.do(exchange{method: c.method, path: c.path})
		var p api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.status || p.Code != c.code || p.Status != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d %s, Allow %q", c.method, c.path, w.Code, w.Body, w.Header().Get("Allow"))
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s %s: content type %q", c.method, c.path, got)
		}
	}
	if w := a.do(exchange{method: "HEAD", path: "nodes"}); w.Code != 200 {
		t.Errorf("HEAD: got %d", w.Code)
	}
}
