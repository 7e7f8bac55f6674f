package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// fault says what went wrong and what to do.
type fault struct{ text, hint string }

func unresolved(host string, err error) fault {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return fault{fmt.Sprintf("nobody knows the name %s", host), "`getent hosts " + host + "` asks the same; correct the name, or write the address"}
	}
	return fault{fmt.Sprintf("look %s up: %s", host, short(err)), "the name server does not answer: `resolvectl status`, /etc/resolv.conf"}
}

// unlisted is unresolved of SRV records.
func unlisted(records string, err error) fault {
	return fault{fmt.Sprintf("no receiver is known by SRV records %s: %s", records, short(err)),
		"`dig +short SRV " + records + "` asks the same, and wants PRIORITY WEIGHT PORT HOST of each receiver; correct the name, or write addresses"}
}

// short is an error without what the step says already.
func short(err error) string {
	var sys unix.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &sys):
		return sys.Error()
	case late(err):
		return "no answer in time"
	case errors.As(err, &dns):
		return dns.Err
	}
	return err.Error()
}

func late(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// unreached explains the failure of the last of the addresses.
func unreached(name string, addresses []string, err error) fault {
	at := addresses[len(addresses)-1]
	_, port, _ := net.SplitHostPort(at)
	switch {
	case errors.Is(err, unix.ECONNREFUSED) && name == "socket":
		return fault{"nobody listens at " + at, "is `ftfuse-receiver.socket` enabled? `systemctl status ftfuse-receiver.socket`"}
	case errors.Is(err, unix.ECONNREFUSED):
		return fault{fmt.Sprintf("connection refused: nobody listens at %s", at),
			fmt.Sprintf("on that machine: is `ftfuse-receiver.socket` enabled, and does `ss -ltn` show port %s? a socket at 127.0.0.1 is for that machine alone", port)}
	case errors.Is(err, unix.ENOENT):
		return fault{"there is no socket " + at, "is `ftfuse-receiver.socket` enabled, with this path as its ListenStream?"}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fault{fmt.Sprintf("not permitted to connect to %s", at), "run it as root, or look at the socket's mode, or at this machine's firewall"}
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return fault{fmt.Sprintf("%s: %s", at, short(err)), "there is no way to that machine: `ip route get`, and is it up?"}
	case late(err):
		return fault{fmt.Sprintf("%s does not answer", at),
			fmt.Sprintf("a firewall throws it away, or nobody has that address: open port %s, and `ping` the machine", port)}
	}
	return fault{fmt.Sprintf("connect to %s: %s", at, short(err)), ""}
}

// refusal explains a NACK of the handshake.
func refusal(n wire.Nack) fault {
	hint := map[wire.Code]string{
		wire.NoVersion: "the two sides have no version of the protocol in common: upgrade the older one",
		wire.NewEpoch:  "another process sends under this id: has the machine been cloned?",
		wire.Busy:      "the receiver has too many connections, or is not ready: raise `limits` in its receiver.yaml, or try again",
		wire.Malformed: "the receiver does not understand this version: `ftfuse version` on both sides",
		wire.OverLimit: "the receiver is too busy to answer in time: `ftfuse status` there",
		wire.Denied:    "the receiver's configuration does not let this machine send: `ftfuse status` and the journal there say why",
		wire.GoingDown: "it stops or restarts: try again in a moment",
	}[n.Code]
	return fault{fmt.Sprintf("the receiver refused: %v: %s", n.Code, n.Text), hint}
}

// unanswered explains why no frame came. What did come tells who is there.
func (a *asking) unanswered(err error) fault {
	if errors.Is(err, record.ErrCorrupt) && a.nc.SetReadDeadline(time.Now().Add(100*time.Millisecond)) == nil {
		_, _ = a.sniff.Read(make([]byte, cap(a.sniff.said))) // more of the same line, for people
	}
	said := a.sniff.said
	const other = "this is no ftfuse receiver: compare the port with `ListenStream` of ftfuse-receiver.socket there"
	switch {
	case len(said) >= 3 && said[0] == 0x15 && said[1] == 3: // an alert: RFC 8446, 5.1
		return fault{"it answered by TLS, which was not asked for", "set `tls` of the target, as the receiver has it"}
	case errors.Is(err, record.ErrCorrupt) || len(said) > 0:
		return fault{fmt.Sprintf("it answered %s", printable(said)), other}
	case late(err):
		return fault{"it takes connections and says nothing", "something else listens there, or the receiver hangs: `systemctl status ftfuse-receiver` there"}
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return fault{"it closed the connection without a word", "it may want TLS, or have too many connections, or not be a receiver: its journal says which"}
	case errors.Is(err, net.ErrClosed):
		return fault{"given up", ""}
	}
	return fault{short(err), ""}
}

// printable shows the beginning of what a stray server says.
func printable(p []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(p)), "\n")
	return fmt.Sprintf("%q", strings.TrimSpace(line))
}

// sniffer keeps the beginning of what it reads.
type sniffer struct {
	from io.Reader
	said []byte // its capacity is how much
}

func (s *sniffer) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.said = append(s.said, p[:min(n, cap(s.said)-len(s.said))]...)
	return n, err
}
