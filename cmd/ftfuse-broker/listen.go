package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"ftfuse/internal/systemd"
)

// listen returns the socket of the service manager, or makes one that uid alone may connect to.
func listen(path string, uid int) (*net.UnixListener, error) {
	if path == "" {
		return inherited()
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if errors.Is(err, unix.EADDRINUSE) {
		if c, busy := net.Dial("unixpacket", path); busy == nil {
			c.Close()
			return nil, fmt.Errorf("listen on %s: another broker answers there: %w", path, err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
		l, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	err = os.Chmod(path, 0o600)
	if err == nil && uid != os.Geteuid() {
		err = os.Chown(path, uid, -1)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

func inherited() (*net.UnixListener, error) {
	given, err := systemd.Take()
	if err != nil {
		return nil, err
	}
	defer given.Close()
	var l *net.UnixListener
	for _, s := range given.Sockets() {
		if s.Type == unix.SOCK_SEQPACKET && l == nil {
			made, err := net.FileListener(s.File)
			if err != nil {
				return nil, fmt.Errorf("take socket %s: %w", s.Name, err)
			}
			l, _ = made.(*net.UnixListener)
		}
		s.File.Close()
	}
	if l == nil {
		return nil, errors.New("got no socket: start ftfuse-broker.socket (ListenSequentialPacket=), or name one with --socket")
	}
	return l, nil
}
