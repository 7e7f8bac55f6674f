package control

import (
	"fmt"
	"time"
)

// soon is when an own certificate is shown as one that expires.
const soon = 14 * 24 * time.Hour

// Left is how long a certificate is still valid; less than 0: it has expired.
func (c *Certificate) Left(now time.Time) time.Duration { return c.Expires.Sub(now) }

// certificate prints an own certificate in one line.
func (p *printer) certificate(c Certificate, now time.Time) {
	whose := "own certificate"
	if c.Target != "" {
		whose = "certificate for target " + plain(c.Target)
	}
	left := c.Left(now)
	text, style := fmt.Sprintf("%s: %s, valid for %s", whose, plain(c.Identity), plural(int(left/(24*time.Hour)), "day")), dim
	switch {
	case left <= 0:
		text, style = fmt.Sprintf("%s: %s, has expired: renew %s and reload", whose, plain(c.Identity), plain(c.File)), red
	case left < soon:
		text, style = text+": renew "+plain(c.File)+" and reload", yellow
	}
	p.line(cell{text, style})
}

// whereabouts is the address of a peer, with what its certificate says.
func whereabouts(address string, tls bool, identity string) cell {
	text := plain(address)
	switch {
	case tls && identity != "":
		text += "  TLS " + plain(identity)
	case tls:
		text += "  TLS"
	}
	return cell{text, noColour}
}
