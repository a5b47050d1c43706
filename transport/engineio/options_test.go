package engineio_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
	ours "github.com/carillonhq/carillon/transport/websocket"
)

func failingID(*http.Request) (string, error) { return "", errTest }

// The defaults are those of Node's server, and clients are told them.
func TestDefaults(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	a := r.get("&transport=polling")
	_, rest, _ := strings.Cut(a.body, r.sid(a.body))
	if want := `","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`; rest != want {
		t.Errorf("open packet ends with %s, want %s", rest, want)
	}
	for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Content-Encoding"} {
		if got := a.header.Get(name); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestCookie(t *testing.T) {
	for _, test := range []struct {
		cookie *engineio.Cookie
		want   string // behind "NAME=SID"
	}{
		{nil, ""},
		{&engineio.Cookie{}, "io=SID; Path=/; HttpOnly; SameSite=Lax"},
		{
			&engineio.Cookie{Name: "eio", Path: "/chat", Domain: "example.org", MaxAge: 3600e9, Secure: true, Scripts: true, SameSite: http.SameSiteNoneMode},
			"eio=SID; Path=/chat; Domain=example.org; Max-Age=3600; Secure; SameSite=None",
		},
	} {
		r := newRig(t, engineio.Options{Cookie: test.cookie}, false)
		a := r.get("&transport=polling")
		sid := r.sid(a.body)
		if got := strings.Join(a.header["Set-Cookie"], "|"); got != strings.Replace(test.want, "SID", sid, 1) {
			t.Errorf("polling: %q, want %q", got, test.want)
		}
		q := "&transport=polling&sid=" + sid
		for _, a := range []answer{r.must("POST", q, "4a"), r.get(q), r.get("&transport=polling&sid=unknown"), r.get("&transport=x")} {
			if got := a.header["Set-Cookie"]; got != nil {
				t.Errorf("a later response has %q", got)
			}
		}
		c, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, open, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(res.Header["Set-Cookie"], "|"); got != strings.Replace(test.want, "SID", r.sid(string(open)), 1) {
			t.Errorf("websocket: %q, want %q", got, test.want)
		}
		c.CloseNow()
	}
}

// A session that was refused after all leaves no cookie, and one that was set
// by a middleware stays.
func TestCookieOfNobody(t *testing.T) {
	srv := engineio.New(engineio.Options{Cookie: new(engineio.Cookie)}, func(*engineio.Session) engineio.Receiver { return nil })
	defer srv.Close()
	for _, before := range []string{"", "a=b"} {
		w := httptest.NewRecorder()
		if before != "" {
			w.Header().Set("Set-Cookie", before)
		}
		srv.ServeHTTP(w, httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil))
		if got := w.Header().Get("Set-Cookie"); w.Code != 400 || got != before || len(w.Header()["Set-Cookie"]) > 1 {
			t.Errorf("answered %d with cookies %q", w.Code, w.Header()["Set-Cookie"])
		}
	}
}

func TestInitialPacket(t *testing.T) {
	r := newRig(t, engineio.Options{InitialPacket: transport.Text("4welcome"), AllowEIO3: true}, false)
	open, initial, _ := strings.Cut(r.get("&transport=polling").body, "\x1e")
	if r.sid(open); initial != "4welcome" {
		t.Errorf("%q is behind the open packet", initial)
	}
	if a := r.get("?EIO=3&transport=polling"); !strings.HasSuffix(a.body, "}8:4welcome") {
		t.Errorf("protocol 3: %q", a.body)
	}
	c := r.ws("&transport=websocket")
	r.sid(c.read())
	c.want("4welcome")
	c.write("4a")
	c.want("4a")
}

func TestPath(t *testing.T) {
	for _, test := range []struct {
		opts  engineio.Options
		path  string
		match string // of "/engine.io", "/engine.io/", "/engine.iox", "/chat/", "/chatty"
	}{
		{engineio.Options{}, "/engine.io/", "01000"},
		{engineio.Options{NoTrailingSlash: true}, "/engine.io", "11100"},
		{engineio.Options{Path: "/engine.io/", NoTrailingSlash: true}, "/engine.io", "11100"},
		{engineio.Options{Path: "/chat"}, "/chat/", "00010"},
		{engineio.Options{Path: "/chat/"}, "/chat/", "00010"},
		{engineio.Options{Path: "/chat", NoTrailingSlash: true}, "/chat", "00011"},
	} {
		srv := engineio.New(test.opts, func(*engineio.Session) engineio.Receiver { return nil })
		defer srv.Close()
		if srv.Path() != test.path {
			t.Errorf("Path() = %q, want %q", srv.Path(), test.path)
		}
		h := srv.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
		var got []byte
		for _, path := range []string{"/engine.io", "/engine.io/", "/engine.iox", "/chat/", "/chatty"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path+"?transport=none", nil))
			if w.Code == http.StatusTeapot {
				got = append(got, '0')
			} else {
				got = append(got, '1')
			}
		}
		if string(got) != test.match {
			t.Errorf("%s matches %s, want %s", test.path, got, test.match)
		}
	}
}

// Middlewares are http.Handlers around the server: they see every request,
// may refuse it, and their headers go out with answers and with the 101.
func TestMiddleware(t *testing.T) {
	srv := engineio.New(engineio.Options{}, func(s *engineio.Session) engineio.Receiver {
		return &peer{Session: s, closed: make(chan end, 1)}
	})
	defer srv.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("refuse") {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Test", "yes")
		srv.ServeHTTP(w, r)
	}))
	defer web.Close()
	for _, test := range []struct {
		query  string
		status int
	}{{"polling", 200}, {"polling&refuse", 401}} {
		res, err := http.Get(web.URL + "/?EIO=4&transport=" + test.query)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.status || test.status == 200 && res.Header.Get("X-Test") != "yes" {
			t.Errorf("%s: %d, X-Test %q", test.query, res.StatusCode, res.Header.Get("X-Test"))
		}
	}
	c, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http")+"/?EIO=4&transport=websocket", nil)
	if err != nil || res.Header.Get("X-Test") != "yes" {
		t.Fatalf("websocket: %v, %v", res, err)
	}
	c.CloseNow()
	_, res, err = websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http")+"/?EIO=4&transport=websocket&refuse", nil)
	if err == nil || res.StatusCode != 401 {
		t.Errorf("websocket refused: %v, %v", res, err)
	}
}

func TestHTTPCompression(t *testing.T) {
	long := "4" + strings.Repeat("x", 2000)
	for _, test := range []struct {
		min, n int
		accept string
		want   string
	}{
		{0, 1023, "gzip", ""},
		{0, 1024, "gzip", "gzip"},
		{0, 1024, "deflate", "deflate"},
		{0, 1024, "br", ""},
		{-1, 1024, "gzip", ""},
		{100, 100, "gzip", "gzip"},
	} {
		r := newRig(t, engineio.Options{MinCompress: test.min}, false)
		q, p := r.poll()
		if err := p.Send(transport.Text(long[:test.n])); err != nil {
			t.Fatal(err)
		}
		if got := r.must("GET", q, "", "Accept-Encoding", test.accept).header.Get("Content-Encoding"); got != test.want {
			t.Errorf("%d bytes of %d, %s: %q, want %q", test.n, test.min, test.accept, got, test.want)
		}
	}
}

func TestPerMessageDeflate(t *testing.T) {
	written := func(d *ours.Deflate, mode websocket.CompressionMode, f *transport.Frames) int64 {
		var n atomic.Int64
		opts := engineio.Options{Deflate: d}
		opts.Hooks.WebSocket.Written = func(_, bytes int) { n.Add(int64(bytes)) }
		r := newRig(t, opts, false)
		c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"&transport=websocket",
			&websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(-1)
		s := &socket{c, t}
		r.sid(s.read())
		p := r.peer()
		if err := p.Send(f); err != nil {
			t.Fatal(err)
		}
		s.want(string(f.Parts()[0].Data))
		s.write(string(f.Parts()[0].Data)) // compressed, if that was agreed to
		s.want(string(f.Parts()[0].Data))
		s.Close(websocket.StatusNormalClosure, "")
		recv(t, p.closed)
		return n.Load()
	}
	const on, off = websocket.CompressionNoContextTakeover, websocket.CompressionDisabled
	long := "4" + strings.Repeat("x", 100000)
	for _, test := range []struct {
		name string
		got  int64
		max  int64 // 0: not compressed
	}{
		{"off", written(nil, on, transport.Text(long)), 0},
		{"client off", written(new(ours.Deflate), off, transport.Text(long)), 0},
		{"on", written(new(ours.Deflate), on, transport.Text(long)), 3000},
		{"NoCompress", written(new(ours.Deflate), on, transport.Text(long).NoCompress()), 102000}, // but its echo
	} {
		if test.max == 0 && test.got < 200000 || test.max > 0 && test.got > test.max {
			t.Errorf("%s: %d bytes written", test.name, test.got)
		}
	}
}

func TestConnectionError(t *testing.T) {
	errs := make(chan engineio.ConnectionError, 1)
	fail := errors.New("no ID")
	opts := engineio.Options{
		Allow: func(r *http.Request) error {
			if r.URL.Query().Has("forbid") {
				return errors.New("not you")
			}
			return nil
		},
		NewID: func(r *http.Request) (string, error) {
			if r.URL.Query().Has("noid") {
				return "", fail
			}
			return "id" + r.URL.Query().Get("id"), nil
		},
	}
	opts.Hooks.ConnectionError = func(e engineio.ConnectionError) {
		if e.Request == nil {
			t.Error("no request")
		}
		errs <- e
	}
	r := newRig(t, opts, false)
	r.get("&transport=polling&id=p")
	c := r.ws("&transport=websocket&id=w")
	r.sid(c.read())
	for _, test := range []struct {
		method, query string
		code          int
		message       string
		context       map[string]any
	}{
		{"GET", "&transport=x", 0, "Transport unknown", map[string]any{"transport": "x"}},
		{"GET", "&transport=polling&sid=x", 1, "Session ID unknown", map[string]any{"sid": "x"}},
		{"PUT", "&transport=polling", 2, "Bad handshake method", map[string]any{"method": "PUT"}},
		{"GET", "&transport=websocket", 3, "Bad request", map[string]any{"name": "TRANSPORT_HANDSHAKE_ERROR"}},
		{"GET", "&transport=polling&sid=idw", 3, "Bad request", map[string]any{"name": "TRANSPORT_MISMATCH", "transport": "polling", "previousTransport": "websocket"}},
		{"GET", "?EIO=3&transport=polling&sid=idp", 3, "Bad request", map[string]any{"name": "PROTOCOL_MISMATCH", "protocol": 3, "previousProtocol": 4}},
		{"GET", "&transport=polling&noid", 3, "Bad request", map[string]any{"name": "ID_GENERATION_ERROR", "error": fail}},
		{"GET", "&transport=polling&forbid", 4, "Forbidden", map[string]any{"message": "not you"}},
		{"GET", "?EIO=3&transport=polling", 5, "Unsupported protocol version", map[string]any{"protocol": 3}},
		{"GET", "?EIO=x&transport=polling", 5, "Unsupported protocol version", map[string]any{"protocol": "x"}},
	} {
		r.must(test.method, test.query, "")
		e := recv(t, errs)
		if e.Code != test.code || e.Message != test.message || fmt.Sprint(e.Context) != fmt.Sprint(test.context) {
			t.Errorf("%s %s: %d %q %v, want %d %q %v", test.method, test.query, e.Code, e.Message, e.Context, test.code, test.message, test.context)
		}
	}
	// net/http refuses such headers itself; other servers may not.
	req := httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil)
	req.Header.Set("Origin", "a\x00")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if e := recv(t, errs); w.Code != 400 || e.Code != 3 || e.Context["name"] != "INVALID_ORIGIN" || e.Context["origin"] != "a\x00" {
		t.Errorf("INVALID_ORIGIN: %d %v", w.Code, e)
	}
}
