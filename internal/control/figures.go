package control

import "time"

// What tables show, for other views of the same figures.

// Bytes prints n with three digits and a binary unit, as in 23.4 MiB.
func Bytes(n uint64) string { return humanBytes(n) }

// Number prints n with three digits and a decimal unit, as in 12.3k.
func Number(n uint64) string { return humanCount(n) }

// Span prints how long d is with its two largest units, as in 2m5s.
func Span(d time.Duration) string { return humanFor(d) }

// Since prints the time from then to now, "-" for the zero time.
func Since(now, then time.Time) string { return since(now, then) }

// Plain makes a text safe for a terminal: one line, nothing that moves the cursor.
func Plain(s string) string { return oneLine(s) }
