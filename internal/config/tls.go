package config

import "time"

// TLS names the files by which a receiver proves who it is, and knows its senders. All three or none.
type TLS struct {
	CA   string `koanf:"ca" form:"path?"`   // authorities that may have signed senders' certificates, PEM
	Cert string `koanf:"cert" form:"path?"` // of this machine, PEM
	Key  string `koanf:"key" form:"path?"`  // of the certificate, PEM
}

// On reports whether there is TLS.
func (t TLS) On() bool { return t != TLS{} }

// TargetTLS is TLS for a target.
type TargetTLS struct {
	CA         string `koanf:"ca" form:"path?"`
	Cert       string `koanf:"cert" form:"path?"`
	Key        string `koanf:"key" form:"path?"`
	ServerName string `koanf:"server_name"` // wanted in the receiver's certificate; "": the host of the address
}

// Files returns the files alone.
func (t TargetTLS) Files() TLS { return TLS{t.CA, t.Cert, t.Key} }

// Peer says what those senders may do whose identity it has. The first peer that fits holds; where there are peers and none
// fits, nothing is taken.
type Peer struct {
	Name        string   `koanf:"name" form:"name"`
	Identity    []string `koanf:"identity" form:"wildcard"` // of the certificate; without TLS an address or a network such as 10.0.0.0/8, or unix
	Deny        bool     `koanf:"deny"`                     // nothing is taken from them
	Hosts       []string `koanf:"hosts" form:"wildcard"`    // names that they may send as; none: those of their certificate
	Paths       []string `koanf:"paths" form:"glob"`        // files that they may send, below the sender's mount; none: all
	Relay       bool     `koanf:"relay"`                    // they may hand on what other senders have captured
	Connections int      `koanf:"connections" min:"0"`      // at once, of all of them; 0: no limit but the receiver's
	Bytes       Size     `koanf:"bytes" min:"0"`            // of payload a second, of all of them; 0: no limit
	Quota       Quota    `koanf:"quota"`
}

// Quota bounds what is written for a peer.
type Quota struct {
	Bytes Size          `koanf:"bytes" min:"0"` // of payload in each period; 0: no limit
	Every time.Duration `koanf:"every" min:"1m" max:"366d"`
}

func defaultPeer() Peer { return Peer{Quota: Quota{Every: 24 * time.Hour}} }
