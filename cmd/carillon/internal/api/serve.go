package api

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// The description that is served.
const (
	description     = "openapi.yaml"
	descriptionType = "application/yaml"
)

// bodyTimeout bounds the time that a body takes to come.
const bodyTimeout = 10 * time.Second

//go:embed openapi.yaml
var openAPI []byte

// A request is one that is authorized and belongs to a route.
type request struct {
	*http.Request
	segment string // what stands for "{…}" in the route
	body    body   // of a POST
	query   query
}

// An answer is what a client is told.
type answer struct {
	status   int
	problem  bool
	body     []byte
	replayed bool
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	path := strings.TrimPrefix(r.URL.EscapedPath(), Prefix)
	name := "unknown"
	var ans answer
	rt, segment, allowed := find(r.Method, path)
	switch {
	case rt != nil:
		name = "/" + rt.path
		ans = a.serve(w, r, rt, segment)
	case path == description && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header().Set("Content-Type", descriptionType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(openAPI)
		return
	case path == description:
		allowed = []string{http.MethodGet}
		fallthrough
	case len(allowed) > 0:
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		ans = refused(problemf(methodNotAllowed, "%s is not among the methods of this path: %s", quote(r.Method), strings.Join(allowed, ", ")))
	default:
		ans = refused(problemf(notFound, "there is no %s; %s%s has all that there is", quote(r.URL.Path), Prefix, description))
	}
	ans.write(w)
	if served := a.opts.Hooks.Served; served != nil {
		served(name, known(r.Method), ans.status, time.Since(start))
	}
}

// known is the method, if it is one of HTTP's that the API has.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
		return method
	}
	return "other"
}

// serve answers a request of a route.
func (a *API) serve(w http.ResponseWriter, r *http.Request, rt *route, segment string) answer {
	if !a.opts.Keys.authorize(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="carillon"`)
		return refused(problemf(unauthorized, "send an API key: Authorization: Bearer KEY"))
	}
	segment, err := url.PathUnescape(segment)
	if err != nil {
		return refused(problemf(notFound, "the path cannot be read"))
	}
	req := &request{Request: r, segment: segment}
	req.query, err = readQuery(r.URL.RawQuery)
	if err != nil {
		return refused(err)
	}
	if rt.method != http.MethodPost {
		return a.call(rt, req)
	}
	content, err := a.read(w, r)
	if err != nil {
		return refused(err)
	}
	key, err := idempotencyKey(r, rt)
	if err != nil {
		return refused(err)
	}
	if req.body, err = parseBody(content); err != nil {
		return refused(err)
	}
	if key == "" {
		return a.call(rt, req)
	}
	return a.replays.once(key, fingerprint(rt.path, content), func() answer { return a.call(rt, req) })
}

// read returns the body of a POST.
func (a *API) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, problemf(unsupportedType, "the body has to be JSON: Content-Type: application/json")
	}
	// A body that drips in holds its connection for no longer than this. Where a
	// wrapped ResponseWriter knows no deadlines, the server's own bound it.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTimeout))
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(a.opts.MaxBody)))
	if err != nil {
		w.Header().Set("Connection", "close") // what is left of the body is not waited for
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, problemf(tooLarge, "the body has more than %d bytes", a.opts.MaxBody)
		}
		return nil, problemf(malformed, "the body ends early, or comes too slowly")
	}
	_ = c.SetReadDeadline(time.Time{})
	return content, nil
}

// call has the route's function answer, and recovers its panic.
func (a *API) call(rt *route, req *request) (ans answer) {
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic in the API", "route", rt.path, "panic", p, "stack", string(debug.Stack()))
			ans = refused(problemf(internal, "this is a bug; the log of node %s has more", quote(a.opts.Bus.Self().Name)))
		}
	}()
	result, err := rt.handle(a, req)
	if err != nil {
		if _, ok := errors.AsType[*Problem](err); !ok {
			a.log.Error("API request failed", "route", rt.path, "err", err)
			err = problemf(internal, "the log of node %s has more", quote(a.opts.Bus.Self().Name))
		}
		return refused(err)
	}
	return answer{status: http.StatusOK, body: encode(result)}
}

// wait returns a context that bounds the wait for other nodes, and ends with
// the request too.
func (a *API) wait(r *request) (context.Context, context.CancelFunc) {
	ctx, cancel := a.opts.Wait()
	stop := context.AfterFunc(r.Context(), cancel)
	return ctx, func() { stop(); cancel() }
}

// refused is the answer that tells a problem; err has to hold one.
func refused(err error) answer {
	p, _ := errors.AsType[*Problem](err)
	return answer{status: p.Status, problem: true, body: encode(p)}
}

func (ans *answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if ans.problem {
		h.Set("Content-Type", "application/problem+json")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if ans.replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	w.WriteHeader(ans.status)
	_, _ = w.Write(ans.body) // a client that went is no concern of ours
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // call recovers it: a bug in one of our types
	}
	return b.Bytes()
}
