package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// look asks for one name.
func (w *Watch) look(ctx context.Context, m Listed) ([]Receiver, error) {
	if name, ok := strings.CutPrefix(m.Address, "srv:"); ok {
		return w.records(ctx, name)
	}
	return w.addresses(ctx, strings.TrimPrefix(m.Address, "dns:"), m.Weight)
}

// addresses are the receivers of dns:HOST:PORT, in the order of their numbers: the DNS gives another order each time.
func (w *Watch) addresses(ctx context.Context, hostPort string, weight int) ([]Receiver, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	found, err := w.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, plain(err)
	}
	slices.SortFunc(found, func(a, b netip.Addr) int { return a.Unmap().Compare(b.Unmap()) })
	var list []Receiver
	for _, ip := range found {
		at := net.JoinHostPort(ip.Unmap().String(), port)
		list = append(list, Receiver{Name: at, Address: at, Host: host, Weight: weight})
	}
	return list, nil
}

// records are the receivers of srv:NAME, those of a lower priority number first, then by name and port. A weight of 0,
// which asks for hardly anything, counts as 1. "." as a host says that there is no such service here.
func (w *Watch) records(ctx context.Context, name string) ([]Receiver, error) {
	_, found, err := w.o.Resolver.LookupSRV(ctx, "", "", name)
	var odd *net.DNSError
	if err != nil && !(errors.As(err, &odd) && len(found) > 0) { // records that cannot be used come with an error beside the others
		return nil, plain(err)
	}
	for _, s := range found {
		s.Target = strings.ToLower(strings.TrimSuffix(s.Target, "."))
	}
	slices.SortFunc(found, func(a, b *net.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Target, b.Target), cmp.Compare(a.Port, b.Port))
	})
	var list []Receiver
	for _, s := range found {
		if s.Target == "" || s.Port == 0 || w.o.FirstOf && s.Priority != found[0].Priority {
			continue
		}
		at := net.JoinHostPort(s.Target, strconv.Itoa(int(s.Port)))
		list = append(list, Receiver{Name: at, Address: at, Host: s.Target, Weight: max(int(s.Weight), 1)})
	}
	return list, nil
}

// plain says what the DNS answered without repeating the name.
func plain(err error) error {
	var d *net.DNSError
	if errors.As(err, &d) {
		if d.Server != "" {
			return fmt.Errorf("%s (%s)", d.Err, d.Server)
		}
		return errors.New(d.Err)
	}
	return err
}
