package format

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"
)

// Clock renders times by a strftime format. It keeps the text of the last second: one user at a time.
type Clock struct {
	parts []string // what stands between the nanoseconds
	texts [][]byte // the parts rendered for sec
	sec   int64
	loc   *time.Location
	at    int64  // what whole is the text of
	whole []byte // the last text: the lines of one write(2) have one time. nil: none yet
}

const (
	strftimeLetters = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%+"
	strftimeFlags   = "_0^#"
)

// ParseClock reads a format. With nanos, %- stands for nine digits of nanoseconds as in the original; without, it is
// the flag of glibc that takes leading zeros off.
func ParseClock(form string, loc *time.Location, nanos bool) (*Clock, error) {
	flags := strftimeFlags
	parts := []string{form}
	if nanos {
		parts = strings.Split(form, "%-")
	} else {
		flags += "-"
	}
	for _, p := range parts {
		for i := 0; i < len(p); i++ {
			if p[i] != '%' {
				continue
			}
			for i++; i < len(p) && strings.IndexByte(flags, p[i]) >= 0; i++ {
			}
			if i == len(p) || strings.IndexByte(strftimeLetters, p[i]) < 0 {
				return nil, fmt.Errorf("time format %q: %%%s is not known: want strftime letters (%s)", form, p[min(i, len(p)):min(i+1, len(p))], strftimeLetters)
			}
		}
	}
	return newClock(loc, parts...), nil
}

// newClock makes a clock of formats that are known to be good, with nanoseconds between them.
func newClock(loc *time.Location, parts ...string) *Clock {
	return &Clock{parts: parts, texts: make([][]byte, len(parts)), sec: math.MinInt64, loc: loc}
}

// NewUTC returns a clock for RFC 3339 with nanoseconds, in UTC.
func NewUTC() *Clock { return newClock(time.UTC, "%FT%T.", "Z") }

// Append renders the time, in ns since 1970.
func (c *Clock) Append(dst []byte, at int64) []byte {
	if c.at == at && c.whole != nil {
		return append(dst, c.whole...)
	}
	sec, ns := at/1e9, at%1e9
	if ns < 0 {
		sec, ns = sec-1, ns+1e9
	}
	if sec != c.sec {
		t := time.Unix(sec, 0).In(c.loc)
		for i, p := range c.parts {
			c.texts[i] = timefmt.AppendFormat(c.texts[i][:0], t, p)
		}
		c.sec = sec
	}
	b := c.whole[:0]
	for i, text := range c.texts {
		if i > 0 {
			b = appendNanos(b, ns)
		}
		b = append(b, text...)
	}
	c.at, c.whole = at, b
	return append(dst, b...)
}

// appendNanos appends nine digits.
func appendNanos(dst []byte, ns int64) []byte {
	var digits [9]byte
	n := uint32(ns)
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = '0' + byte(n%10)
		n /= 10
	}
	return append(dst, digits[:]...)
}
