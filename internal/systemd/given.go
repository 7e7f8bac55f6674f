package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstGiven is SD_LISTEN_FDS_START (sd_listen_fds(3)).
const firstGiven = 3

// Given are the descriptors that the service manager handed to this process: the sockets of its .socket units, and what
// an earlier life of the service left with Store. One user at a time.
type Given struct {
	sockets []Socket
	stored  map[string]*os.File
}

// Socket is a listening socket of a .socket unit. Who takes it closes File.
type Socket struct {
	Name      string // FileDescriptorName=, by default the unit's name
	File      *os.File
	Type      int // unix.SOCK_STREAM, unix.SOCK_SEQPACKET, ...
	Listening bool
}

// Take takes what the service manager has handed over: once, as it removes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES
// from the environment. All are close-on-exec then. Without a service manager there is nothing in it.
func Take() (*Given, error) {
	env := map[string]string{}
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		env[key] = os.Getenv(key)
		if err := os.Unsetenv(key); err != nil {
			return nil, fmt.Errorf("take descriptors: %w", err)
		}
	}
	if env["LISTEN_PID"] != strconv.Itoa(os.Getpid()) || env["LISTEN_FDS"] == "" {
		return &Given{}, nil // none, or for the process that started this one
	}
	n, err := strconv.Atoi(env["LISTEN_FDS"])
	if err != nil || n < 0 || n > 1<<16 {
		return nil, fmt.Errorf("take descriptors: got LISTEN_FDS=%q, want a number", env["LISTEN_FDS"])
	}
	var names []string
	if env["LISTEN_FDNAMES"] != "" {
		if names = strings.Split(env["LISTEN_FDNAMES"], ":"); len(names) != n {
			return nil, fmt.Errorf("take descriptors: got %d LISTEN_FDNAMES, want %d as in LISTEN_FDS", len(names), n)
		}
	}
	return take(firstGiven, n, names)
}

// take makes a Given of n descriptors from first on. A descriptor without a name is called unknown, as in
// sd_listen_fds_with_names(3).
func take(first, n int, names []string) (*Given, error) {
	g := &Given{}
	for i := range n {
		fd, name := first+i, "unknown"
		if names != nil {
			name = names[i]
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			g.Close()
			return nil, fmt.Errorf("take descriptor %d (%s): %w", fd, name, err)
		}
		unix.CloseOnExec(fd)
		g.add(fd, name)
	}
	return g, nil
}

func (g *Given) add(fd int, name string) {
	file := os.NewFile(uintptr(fd), name)
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listens == 1 {
		kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE) // every socket has one
		g.sockets = append(g.sockets, Socket{Name: name, File: file, Type: kind, Listening: true})
		return
	}
	if g.stored == nil {
		g.stored = map[string]*os.File{}
	}
	if g.stored[name] != nil { // the manager hands over the newest of a name first
		file.Close()
		return
	}
	g.stored[name] = file
}

// Sockets takes the listening sockets out of g. Their descriptors are the caller's then.
func (g *Given) Sockets() []Socket {
	taken := g.sockets
	g.sockets = nil
	return taken
}

// Stored takes everything that is no listening socket out of g: by its name what Store has kept, the newest of each.
// The manager keeps its own copies until Unstore.
func (g *Given) Stored() map[string]*os.File {
	taken := g.stored
	g.stored = nil
	return taken
}

// Close closes what nobody took.
func (g *Given) Close() {
	for _, s := range g.Sockets() {
		s.File.Close()
	}
	for _, f := range g.Stored() {
		f.Close()
	}
}
