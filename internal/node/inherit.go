package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"ftfuse/internal/config"
	"ftfuse/internal/control"
	"ftfuse/internal/notice"
	"ftfuse/internal/systemd"
)

// Process is what a node has of the process it runs in.
type Process struct {
	Version   string
	Log       *slog.Logger
	Hup       <-chan struct{} // a value for every SIGHUP
	Ready     func()          // called when it serves
	Inherited Inherited
}

// Inherited are the descriptors that the service manager gave. What is missing the node makes by itself.
type Inherited struct {
	Control net.Listener
	Mounts  *net.UnixListener // a sender's: mounts are handed over here
	Listen  []net.Listener    // a receiver's: instead of listen in the configuration
	Metrics []net.Listener
	Stored  map[string]*os.File
}

// Inherit tells the sockets of .socket units apart. Those named metrics serve metrics. Of a sender, a stream socket is
// for control, a packet socket for mounts. Of a receiver, the one named control is for control, the others are for senders.
func Inherit(role config.Role, g *systemd.Given) (Inherited, error) {
	var in Inherited
	var err error
	for _, s := range g.Sockets() {
		if e := in.add(role, s); e != nil {
			err = errors.Join(err, fmt.Errorf("socket %q from the service manager: %w", s.Name, e))
		}
		s.File.Close() // net has a copy
	}
	in.Stored = g.Stored()
	if err != nil {
		return Inherited{}, errors.Join(err, in.close())
	}
	return in, nil
}

func (in *Inherited) add(role config.Role, s systemd.Socket) error {
	l, err := net.FileListener(s.File)
	if err != nil {
		return err
	}
	mounts, unixSocket := l.(*net.UnixListener)
	switch {
	case s.Type == unix.SOCK_SEQPACKET && unixSocket && role == config.RoleSender && in.Mounts == nil:
		in.Mounts = mounts
		return nil
	case s.Type != unix.SOCK_STREAM:
		err = errors.New("want ListenStream=, or one ListenSequentialPacket= of a sender")
	case s.Name == "metrics":
		in.Metrics = append(in.Metrics, l)
		return nil
	case s.Name == "control" || role == config.RoleSender:
		if unixSocket && in.Control == nil {
			in.Control = l
			return nil
		}
		err = fmt.Errorf("got %s for control, want one unix socket", l.Addr())
	default:
		in.Listen = append(in.Listen, l)
		return nil
	}
	return errors.Join(err, l.Close())
}

// close closes what is left.
func (in *Inherited) close() error {
	var err error
	if in.Control != nil {
		err = errors.Join(err, in.Control.Close())
	}
	if in.Mounts != nil {
		err = errors.Join(err, in.Mounts.Close())
	}
	for _, l := range append(in.Listen, in.Metrics...) {
		err = errors.Join(err, l.Close())
	}
	for _, f := range in.Stored {
		err = errors.Join(err, f.Close())
	}
	*in = Inherited{}
	return err
}

// controlSocket takes the inherited control socket, or makes the one that is configured.
func (in *Inherited) controlSocket(c config.Control, log *slog.Logger) (net.Listener, error) {
	l := in.Control
	if l == nil {
		return control.Listen(control.Socket{Path: c.Socket, Mode: os.FileMode(c.Mode), GID: int(c.Group)})
	}
	in.Control = nil
	if at := l.Addr().String(); at != c.Socket {
		log.Warn("the service manager's control socket is not the one of the configuration: `ftfuse status` does not find it", notice.ControlElsewhere,
			"socket", at, "control.socket", c.Socket, "hint", "set control.socket to the first, or change the .socket unit")
	}
	return l, nil
}

// listen takes the inherited sockets for senders, or makes those that are configured.
func (in *Inherited) listen(addresses []string) ([]net.Listener, error) {
	if list := in.Listen; len(list) > 0 {
		in.Listen = nil
		return list, nil
	}
	var list []net.Listener
	for _, addr := range addresses {
		network, address := config.Network(addr)
		l, err := net.Listen(network, address)
		if err != nil {
			err = fmt.Errorf("listen on %s: %w", addr, err)
			for _, l := range list {
				err = errors.Join(err, l.Close())
			}
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// names returns the addresses of list as they are written in a configuration.
func names(list []net.Listener) []string {
	all := make([]string, len(list))
	for i, l := range list {
		all[i] = l.Addr().String()
		if l.Addr().Network() == "unix" {
			all[i] = "unix:" + all[i]
		}
	}
	return all
}
