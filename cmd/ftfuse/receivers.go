package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"ftfuse/internal/config"
	"ftfuse/internal/probe"
	"ftfuse/internal/resolve"
	"ftfuse/internal/secure"
)

// endpoint is one receiver that a person can name.
type endpoint struct {
	name   string // of the target; the address where none was named
	target *config.Target
	way    probe.Way
}

// receiversOf lists the receivers of a target, named TARGET/MEMBER where it has members. Those that the DNS does not tell are
// left out, and a name that it tells nothing of is one receiver: who goes there hears why.
func receiversOf(ctx context.Context, target *config.Target) (list []endpoint) {
	for _, m := range target.Receivers() {
		found, err := resolve.Once(ctx, []resolve.Listed{{Name: m.Name, Address: m.Address, Weight: m.Weight}})
		if err != nil {
			if records, ok := strings.CutPrefix(m.Address, "srv:"); ok {
				list = append(list, endpoint{called(target, m.Name), target, probe.Way{Network: "tcp", Address: records, Unknown: err}})
				continue
			}
			host := strings.TrimPrefix(m.Address, "dns:")
			found = []resolve.Receiver{{Name: m.Name, Address: host, Host: config.HostOf(host)}}
		}
		for _, r := range found {
			list = append(list, endpoint{called(target, r.Name), target, wayTo(target, r.Address, r.Host)})
		}
	}
	return list
}

// called is the name of a member for people; the only one of a target has the target's.
func called(target *config.Target, member string) string {
	if member == target.Name {
		return member
	}
	return target.Name + "/" + member
}

// wayTo says how a receiver of a target is reached, whose certificate has to name host; target is nil for an address that nobody
// has configured.
func wayTo(target *config.Target, address, host string) probe.Way {
	network, at := config.Network(address)
	way := probe.Way{Network: network, Address: at}
	if target == nil || !target.TLS.Files().On() {
		return way
	}
	if target.TLS.ServerName != "" {
		host = target.TLS.ServerName
	}
	own := secure.New(secure.Options{CA: target.TLS.CA, Cert: target.TLS.Cert, Key: target.TLS.Key, Side: secure.Dials})
	way.Wrap = func(ctx context.Context, nc net.Conn) (net.Conn, string, error) {
		c, err := own.Client(ctx, nc, host)
		if err != nil {
			return nil, "", err
		}
		return c, fmt.Sprintf("%s with %s", tls.VersionName(c.ConnectionState().Version), c.Peer), nil
	}
	return way
}

// peerConfig is sender.yaml as far as it is there: of a machine that has no sender it need not be.
func peerConfig(t *terminal, file string) (*config.Sender, error) {
	src, err := config.Locate(config.RoleSender, file, t.environ)
	if err != nil {
		return nil, err
	}
	cfg, _, err := readSender(src)
	if file == "" && src.Text == "" && src.File == config.DefaultFile(config.RoleSender) {
		if _, missing := os.Stat(src.File); errors.Is(missing, fs.ErrNotExist) {
			return nil, nil
		}
	}
	return cfg, err
}

// find returns what name stands for: an address, a target, one of its members, or a host at the usual port.
func find(ctx context.Context, cfg *config.Sender, name string) ([]endpoint, error) {
	if cfg != nil {
		if list := named(ctx, cfg, name); len(list) > 0 {
			return list, nil
		}
	}
	address := name
	switch {
	case strings.HasPrefix(name, "unix:"):
	case strings.HasPrefix(name, "/"):
		address = "unix:" + name
	case net.ParseIP(name) != nil || strings.Contains(name, ".") && !strings.Contains(name, ":"):
		address = net.JoinHostPort(name, config.Port)
	case !strings.Contains(name, ":"):
		return nil, unknownReceiver(cfg, name)
	default:
		if host, port, err := net.SplitHostPort(name); err != nil || host == "" || port == "" {
			return nil, unknownReceiver(cfg, name)
		}
	}
	return []endpoint{{name: strings.TrimPrefix(address, "unix:"), way: wayTo(nil, address, "")}}, nil
}

// named returns the receivers of the target of that name or address, or its one member TARGET/MEMBER.
func named(ctx context.Context, cfg *config.Sender, name string) (list []endpoint) {
	network, address := config.Network(name)
	for i := range cfg.Targets {
		t := &cfg.Targets[i]
		if t.Name == name {
			return receiversOf(ctx, t)
		}
		of, member, _ := strings.Cut(name, "/")
		for _, m := range t.Receivers() {
			if n, a := config.Network(m.Address); n == network && a == address || of == t.Name && m.Name == member {
				return []endpoint{{name: called(t, m.Name), target: t, way: wayTo(t, m.Address, config.HostOf(a))}}
			}
		}
		if of != t.Name {
			continue
		}
		for _, e := range receiversOf(ctx, t) { // one that the DNS tells, by its address
			if e.name == name {
				return []endpoint{e}
			}
		}
	}
	return nil
}

func unknownReceiver(cfg *config.Sender, name string) error {
	hint := "write HOST:PORT, unix:/PATH, or " + name + ":" + config.Port + " if that is a host"
	if cfg != nil {
		var names []string
		for _, target := range cfg.Targets {
			names = append(names, target.Name)
		}
		if of, member, ok := strings.Cut(name, "/"); ok {
			if i := slices.IndexFunc(cfg.Targets, func(t config.Target) bool { return t.Name == of }); i >= 0 {
				return noMember(&cfg.Targets[i], member)
			}
		}
		if len(names) > 0 {
			hint += "; the targets in sender.yaml are " + strings.Join(names, ", ")
		}
	}
	return exitError{fmt.Errorf("receiver %q: got neither an address nor the name of a target in sender.yaml", name), exitUsage, hint}
}

func noMember(target *config.Target, member string) error {
	var names []string
	for _, m := range target.Members {
		names = append(names, m.Name)
	}
	hint := "target " + target.Name + " is one receiver, and has none"
	if len(names) > 0 {
		hint = "its members are " + strings.Join(names, ", ")
	}
	return exitError{fmt.Errorf("receiver %q: target %s has no member %s", target.Name+"/"+member, target.Name, member), exitUsage, hint}
}

// everyone lists the receivers of all targets.
func everyone(ctx context.Context, cfg *config.Sender) (list []endpoint) {
	for i := range cfg.Targets {
		list = append(list, receiversOf(ctx, &cfg.Targets[i])...)
	}
	return list
}

// interrupted returns a context that ends at a signal, and what tells which one it was, nil if none came.
func interrupted(ctx context.Context, t *terminal) (context.Context, func() os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	got := make(chan os.Signal, 1)
	stop := make(chan struct{})
	go func() {
		select {
		case s := <-t.signals:
			got <- s
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() os.Signal {
		close(stop)
		cancel()
		select {
		case s := <-got:
			return s
		default:
			return nil
		}
	}
}
