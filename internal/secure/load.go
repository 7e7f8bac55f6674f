package secure

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// maxFile bounds one PEM file, bytes. A bundle of all public authorities has 250 KiB.
const maxFile = 1 << 20

// Mistake is what is wrong with a file, and what to do.
type Mistake struct {
	Part string // ca, cert or key, as in the configuration
	File string
	Text string // what came and what was expected
	Hint string
	err  error
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s %s: %s; %s", m.Part, m.File, m.Text, m.Hint) }
func (m *Mistake) Unwrap() error { return m.err }

// read reads and judges the files.
func (c *Credentials) read() (*material, error) {
	o := &c.o
	ca, err := readFile("ca", o.CA)
	if err != nil {
		return nil, err
	}
	cert, err := readFile("cert", o.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readFile("key", o.Key)
	if err != nil {
		return nil, err
	}
	m := &material{}
	all := sha256.New()
	for _, b := range [][]byte{ca, cert, key} {
		sum := sha256.Sum256(b)
		all.Write(sum[:])
	}
	all.Sum(m.sum[:0])
	if err := m.setAuthorities(o, ca); err != nil {
		return nil, err
	}
	if err := m.setOwn(o, cert, key); err != nil {
		return nil, err
	}
	m.listen = m.server(o.Now)
	return m, nil
}

// readFile reads a file; a key also has to be out of others' sight.
func readFile(part, path string) ([]byte, error) {
	wrong := func(err error, text, hint string) error {
		return &Mistake{Part: part, File: path, Text: text, Hint: hint, err: err}
	}
	f, err := os.Open(path)
	if err != nil {
		hint := "`ftfuse certs issue` makes certificates"
		if errors.Is(err, fs.ErrPermission) {
			hint = "give it the group that ftfuse runs as, and mode 0640"
		}
		return nil, wrong(err, "cannot be read: "+reason(err), hint)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, wrong(err, "cannot be read: "+reason(err), "look at its file system")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if block, _ := pem.Decode(b); part == "key" && err == nil && block != nil && block.Type == "CERTIFICATE" {
		return nil, wrong(nil, "has a certificate, want the private key that goes with it", "are cert and key exchanged?")
	}
	if mode := info.Mode().Perm(); part == "key" && mode&0o027 != 0 {
		return nil, wrong(nil, fmt.Sprintf("has mode %04o, want a private key that others cannot read and its group cannot change, at most 0640", mode),
			"run chmod 0640 on it; if others may have read it, issue a new one")
	}
	if err != nil {
		return nil, wrong(err, "cannot be read: "+reason(err), "look at its file system")
	}
	if len(b) > maxFile {
		return nil, wrong(nil, fmt.Sprintf("has more than %d bytes", maxFile), "want PEM certificates or a PEM key")
	}
	return b, nil
}

// reason strips the operation and the path, which the message has already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// setAuthorities takes the certificates of the file CA.
func (m *material) setAuthorities(o *Options, text []byte) error {
	wrong := func(err error, text, hint string) error {
		return &Mistake{Part: "ca", File: o.CA, Text: text, Hint: hint, err: err}
	}
	list, err := Certificates(text)
	if err != nil {
		return wrong(err, err.Error(), "want the authority's certificate as PEM, as `ftfuse certs init` makes it")
	}
	m.authorities = x509.NewCertPool()
	now, usable := o.Now(), false
	for _, c := range list {
		if !c.IsCA {
			return wrong(nil, fmt.Sprintf("has a certificate of %q (%s), which is no authority", c.Subject, Names(c)),
				"name the certificate of the authority that signed the other side's")
		}
		m.authorities.AddCert(c)
		m.subjects = append(m.subjects, c.Subject.String())
		usable = usable || !now.After(c.NotAfter)
	}
	if !usable {
		return wrong(nil, fmt.Sprintf("the authority %s has expired on %s", m.subjects[0], day(list[0].NotAfter)), "make a new one with `ftfuse certs init`, and new certificates")
	}
	return nil
}

// setOwn takes the own certificate with its key.
func (m *material) setOwn(o *Options, cert, key []byte) error {
	wrong := func(part, file string, err error, text, hint string) error {
		return &Mistake{Part: part, File: file, Text: text, Hint: hint, err: err}
	}
	list, err := Certificates(cert)
	if err != nil {
		return wrong("cert", o.Cert, err, err.Error(), "want the certificate as PEM, as `ftfuse certs issue` makes it")
	}
	if block, _ := pem.Decode(key); block == nil {
		return wrong("key", o.Key, nil, "got no PEM block, want a private key", "`ftfuse certs issue` makes one")
	}
	if m.pair, err = tls.X509KeyPair(cert, key); err != nil {
		return wrong("key", o.Key, err, "does not go with "+o.Cert+": "+err.Error(), "name the key that was made with this certificate")
	}
	m.leaf, m.between = list[0], x509.NewCertPool()
	m.pair.Leaf = m.leaf
	for _, c := range list[1:] {
		m.between.AddCert(c)
	}
	var named bool
	m.own, named = IdentityOf(m.leaf)
	use, word := x509.ExtKeyUsageClientAuth, "clients (clientAuth)"
	if o.Side == Listens {
		use, word = x509.ExtKeyUsageServerAuth, "servers (serverAuth)"
	}
	now := o.Now()
	switch {
	case !named:
		return wrong("cert", o.Cert, errNoName, errNoName.Error(), "issue it with a subject alternative name: its common name does not count")
	case now.After(m.leaf.NotAfter):
		return wrong("cert", o.Cert, nil, "has expired on "+day(m.leaf.NotAfter), "`ftfuse certs issue "+m.own.Name+"` makes a new one")
	case now.Before(m.leaf.NotBefore):
		return wrong("cert", o.Cert, nil, fmt.Sprintf("is valid from %s on, and it is %s", day(m.leaf.NotBefore), day(now)), "set the clock of this machine")
	case !usable(m.leaf, use):
		return wrong("cert", o.Cert, nil, "is not for TLS "+word, "issue it with that extended key usage; `ftfuse certs issue` does")
	}
	return nil
}

func usable(c *x509.Certificate, use x509.ExtKeyUsage) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// Certificates returns the certificates of a PEM text, at least one.
func Certificates(text []byte) (list []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue // a key may lie beside it
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errors.New("got no PEM certificate, want at least one")
	}
	return list, nil
}

// day writes a time as people look at certificates.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
