package config

import (
	"fmt"
	"math"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as `512`, `64KiB`, `16MiB` or `1.5GiB`.
type Size int64

var sizeUnits = []struct {
	suffix string
	factor int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3},
	{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"k", 1 << 10},
	{"B", 1}, {"", 1},
}

// String returns s in the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && int64(s)%u.factor == 0 {
			return strconv.FormatInt(int64(s)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads what String prints, decimal units (`16MB` is 16,000,000) and fractions.
func ParseSize(text string) (Size, error) {
	text = strings.TrimSpace(text)
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || f < 0 || math.IsNaN(f) || f*float64(u.factor) >= math.MaxInt64 || strings.ContainsAny(digits, "eExX_") {
			return 0, fmt.Errorf("size %q: want a number and a unit, as in 512, 64KiB, 16MiB or 2GiB", text)
		}
		return Size(f * float64(u.factor)), nil
	}
	panic("unreachable: the last unit is empty")
}

// ParseDuration reads `500ms`, `5s`, `2h`, `7d`, `1d12h` and `0`.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("duration %q: want a number and a unit, as in 500ms, 5s, 10m, 2h or 7d", text)
	rest := strings.TrimSpace(text)
	if rest == "0" {
		return 0, nil
	}
	var days time.Duration
	if head, tail, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseFloat(head, 64)
		if err != nil || n < 0 || n > 100*365 || strings.ContainsAny(head, "eExX_") {
			return 0, bad
		}
		days, rest = time.Duration(n*24*float64(time.Hour)), tail
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days+d < 0 {
		return 0, bad
	}
	return days + d, nil
}

// FormatDuration returns d as ParseDuration reads it, without the zero parts that time.Duration prints.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Mode is a set of permission bits, written in octal: `0640`.
type Mode uint32

func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

func parseMode(text string) (Mode, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf("mode %q: want octal digits, as in 0640", text)
	}
	return Mode(n), nil
}

// UserID is a numeric user id, written as number or name, or Keep.
type UserID int

// GroupID is a numeric group id, written as number or name, or Keep.
type GroupID int

// Keep as UserID or GroupID changes nothing. It is written as `keep`.
const Keep = -1

func (u UserID) String() string  { return idText(int(u)) }
func (g GroupID) String() string { return idText(int(g)) }

func idText(id int) string {
	if id == Keep {
		return "keep"
	}
	return strconv.Itoa(id)
}

func parseUser(text string) (UserID, error) {
	id, err := parseID(text, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return 0, fmt.Errorf("user %q: want keep, a number or a user of this machine", text)
	}
	return UserID(id), nil
}

func parseGroup(text string) (GroupID, error) {
	id, err := parseID(text, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return 0, fmt.Errorf("group %q: want keep, a number or a group of this machine", text)
	}
	return GroupID(id), nil
}

func parseID(text string, lookup func(string) (string, error)) (int, error) {
	if text == "keep" {
		return Keep, nil
	}
	if text != "" && (text[0] < '0' || text[0] > '9') {
		found, err := lookup(text)
		if err != nil {
			return 0, err
		}
		text = found
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n >= math.MaxUint32 {
		return 0, fmt.Errorf("id %q: want a number", text)
	}
	return int(n), nil
}
