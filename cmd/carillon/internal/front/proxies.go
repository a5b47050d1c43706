package front

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers that proxies tell a client's address in.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// Proxies finds the addresses of clients behind proxies that are trusted to
// tell them.
type Proxies struct {
	trusted []netip.Prefix
	header  string
}

// NewProxies returns a Proxies that trusts those with addresses in trusted,
// which are IP addresses or networks in CIDR form, to set header, which is
// XForwardedFor or Forwarded. It has to be the one that the proxies do set: the
// other one is the client's word.
func NewProxies(trusted []string, header string) (*Proxies, error) {
	p := &Proxies{header: header}
	for _, t := range trusted {
		network, err := netip.ParsePrefix(t)
		if err != nil {
			addr, addrErr := netip.ParseAddr(t)
			if addrErr != nil {
				return nil, fmt.Errorf("expected an IP address or a network such as 10.0.0.0/8, got %q", t)
			}
			network = netip.PrefixFrom(addr, addr.BitLen())
		}
		p.trusted = append(p.trusted, network)
	}
	return p, nil
}

// Client returns the address of the client that made a request. The header is
// read from its end, where the nearest proxy has written: the first address
// there that is no trusted proxy's is the client's. Before that may stand
// whatever the client likes.
func (p *Proxies) Client(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := at.Addr().Unmap()
	if !p.trusts(client) {
		return client
	}
	for _, hop := range slices.Backward(p.hops(r)) {
		addr, ok := parseHop(hop)
		if !ok {
			break // the proxy knew no better, or somebody plays
		}
		client = addr
		if !p.trusts(client) {
			break
		}
	}
	return client
}

// Wrap has requests that come by a trusted proxy reach h with the client's
// address as their RemoteAddr.
func (p *Proxies) Wrap(h http.Handler) http.Handler {
	if len(p.trusted) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client := p.Client(r); client.IsValid() {
			if at, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || at.Addr().Unmap() != client {
				r.RemoteAddr = netip.AddrPortFrom(client, 0).String() // the port is the proxy's to know
			}
		}
		h.ServeHTTP(w, r)
	})
}

func (p *Proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// hops returns what the header says, the nearest last.
func (p *Proxies) hops(r *http.Request) []string {
	var hops []string
	for _, line := range r.Header.Values(p.header) {
		for hop := range strings.SplitSeq(line, ",") {
			if p.header == Forwarded {
				hop = forParameter(hop)
			}
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	return hops
}

// forParameter returns the value of "for" in an element of a Forwarded header.
// A quoted comma or semicolon, which no address has, makes it unreadable.
func forParameter(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// parseHop reads an address, with a port or without.
func parseHop(hop string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return addr.Unmap(), true
	}
	host, _, err := net.SplitHostPort(hop)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap(), err == nil
}
