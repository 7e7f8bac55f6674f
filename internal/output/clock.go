package output

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"
)

// clock renders times by a strftime format. It keeps the text of the last second: one user at a time.
type clock struct {
	parts []string // what stands between the nanoseconds
	texts [][]byte // the parts rendered for sec
	sec   int64
	loc   *time.Location
}

const (
	strftimeLetters = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%+"
	strftimeFlags   = "_0^#"
)

// parseClock reads a format. With nanos, %- stands for nine digits of nanoseconds as in the original; without, it is
// the flag of glibc that takes leading zeros off.
func parseClock(form string, loc *time.Location, nanos bool) (*clock, error) {
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
	return &clock{parts: parts, texts: make([][]byte, len(parts)), sec: math.MinInt64, loc: loc}, nil
}

// append renders the time, in ns since 1970.
func (c *clock) append(dst []byte, at int64) []byte {
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
	for i, text := range c.texts {
		if i > 0 {
			dst = appendNanos(dst, ns)
		}
		dst = append(dst, text...)
	}
	return dst
}

// appendNanos appends nine digits.
func appendNanos(dst []byte, ns int64) []byte {
	start := len(dst)
	dst = strconv.AppendInt(dst, ns+1e9, 10) // ten digits, the first a 1
	copy(dst[start:], dst[start+1:])
	return dst[:len(dst)-1]
}
