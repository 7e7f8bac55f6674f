package control

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// humanBytes prints n with three digits and a binary unit: 512 B, 1.5 KiB, 23.4 MiB.
func humanBytes(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	f := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f /= 1024; f < 999.95 {
			return threeDigits(f) + " " + unit
		}
	}
	return threeDigits(f/1024) + " EiB"
}

// humanCount prints n with three digits and a decimal unit: 999, 12.3k, 4.56M.
func humanCount(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10)
	}
	f := float64(n)
	for _, unit := range []string{"k", "M", "G", "T", "P"} {
		if f /= 1000; f < 999.5 {
			return threeDigits(f) + unit
		}
	}
	return threeDigits(f/1000) + "E"
}

func threeDigits(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// humanFor prints how long d is, with its two largest units: 3d4h, 2m5s, 350ms.
func humanFor(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "0s"
	case d >= 100*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d >= 10*time.Second || d == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	case d >= time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	}
	return fmt.Sprintf("%dµs", d/time.Microsecond)
}

// since prints the time from then to now, "-" for the zero time.
func since(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return humanFor(now.Sub(then))
}

// plain makes a text safe for a terminal: what a peer or a file name brings along must not move the cursor.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
