package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// connect looks the name up and connects to the first of its addresses that answers.
func (a *asking) connect(ctx context.Context) bool {
	if a.o.Network == "unix" {
		return a.reach(ctx, "socket", []string{a.o.Address})
	}
	addresses, ok := a.resolve(ctx)
	return ok && a.reach(ctx, "TCP", addresses)
}

// resolve returns what to connect to, HOST:PORT each.
func (a *asking) resolve(ctx context.Context) ([]string, bool) {
	const name = "DNS"
	began := time.Now()
	if a.o.Unknown != nil {
		return nil, a.failed(name, began, unlisted(a.o.Address, a.o.Unknown))
	}
	host, port, err := net.SplitHostPort(a.o.Address)
	if err != nil {
		return nil, a.failed(name, began, fault{err.Error(), "write HOST:PORT"})
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{a.o.Address}, a.done(name, began, "%s is an address already", ip)
	}
	if host == "" {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, a.failed(name, began, unresolved(host, err))
	}
	list := make([]string, len(found))
	for i, f := range found {
		list[i] = net.JoinHostPort(f, port)
	}
	return list, a.done(name, began, "%s is %s", host, strings.Join(found, ", "))
}

// reach connects to the first address that takes the connection. Each has its part of the time.
func (a *asking) reach(ctx context.Context, name string, addresses []string) bool {
	began := time.Now()
	var why []string
	var last error
	for i, address := range addresses {
		left := a.o.Timeout - time.Since(began)
		part, cancel := context.WithTimeout(ctx, max(left/time.Duration(len(addresses)-i), 100*time.Millisecond))
		var d net.Dialer
		nc, err := d.DialContext(part, a.o.Network, address)
		cancel()
		if err == nil {
			a.nc, a.report.Remote = nc, address
			also := ""
			if len(why) > 0 {
				also = "; not to " + strings.Join(why, ", nor to ")
			}
			return a.done(name, began, "connected to %s%s", address, also)
		}
		last = err
		why = append(why, fmt.Sprintf("%s (%s)", address, short(err)))
	}
	f := unreached(name, addresses, last)
	if len(addresses) > 1 {
		f.text = "no connection to " + strings.Join(why, ", nor to ")
	}
	return a.failed(name, began, f)
}
