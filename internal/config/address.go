package config

import (
	"net"
	"strconv"
	"strings"
)

// The forms of an address that the DNS makes several of.
const (
	dnsForm = "dns:" // HOST:PORT follows: every address of HOST
	srvForm = "srv:" // NAME follows: every host and port of its SRV records (RFC 2782)
)

// Resolved reports whether address stands for as many receivers as the DNS says.
func Resolved(address string) bool {
	return strings.HasPrefix(address, dnsForm) || strings.HasPrefix(address, srvForm)
}

func isSRV(address string) bool { return strings.HasPrefix(address, srvForm) }

// checkReceiverAddress judges where a target sends to.
func checkReceiverAddress(s string) error {
	const want = "HOST:PORT, [IPV6]:PORT, unix:/PATH, dns:HOST:PORT or srv:_ftfuse._tcp.DOMAIN"
	if name, ok := strings.CutPrefix(s, srvForm); ok {
		if !isHostName(name) {
			return wantError{got: s, want: "srv: and the name of SRV records, as in srv:_ftfuse._tcp.example.net"}
		}
		return nil
	}
	rest, dns := strings.CutPrefix(s, dnsForm)
	if dns && strings.HasPrefix(rest, "unix:") {
		return wantError{got: s, want: "dns:HOST:PORT", hint: "write " + rest}
	}
	err := checkAddress(rest)
	w, ok := err.(wantError)
	switch host, port, _ := net.SplitHostPort(rest); {
	case ok:
		w.got, w.want = s, want+strings.TrimPrefix(w.want, anAddress)
		if w.hint != "" && dns {
			w.hint = strings.Replace(w.hint, "write ", "write "+dnsForm, 1)
		}
		return w
	case err != nil:
		return err
	case dns && net.ParseIP(host) != nil:
		return wantError{got: s, want: "dns: and the name of a host", hint: "write " + rest}
	case !strings.HasPrefix(rest, "unix:") && (host == "" || port == "0"):
		return wantError{got: s, want: want + ", with a host and a port from 1 to 65535"}
	}
	return nil
}

// isHostName holds s to what the DNS takes (RFC 1035, 2.3.4; _ as RFC 2782 has it).
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

const anAddress = "HOST:PORT, [IPV6]:PORT or unix:/PATH"

func checkAddress(s string) error {
	const want = anAddress
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		if err := checkPath(socket); err != nil || len(socket) > maxSocketPath {
			return wantError{got: s, want: want}
		}
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		w := wantError{got: s, want: want}
		if strings.Count(s, ":") == 0 && s != "" {
			w.hint = "write " + s + ":" + Port + " for the usual port"
		}
		return w
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && host == "" {
		return wantError{got: s, want: want + ", with a port from 1 to 65535"}
	}
	return nil
}

// maxSocketPath is what fits in sockaddr_un (unix(7)) with its final NUL.
const maxSocketPath = 107

// Network returns s, an address of the configuration, as net.Dial and net.Listen take it.
func Network(s string) (network, address string) {
	if p, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", p
	}
	return "tcp", s
}

// HostOf is the host of HOST:PORT, which its certificate has to name; what has no port is all host.
func HostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
