package filter

import "bytes"

// Classes of bytes for the built-in patterns.
const (
	digit  = 1 << iota
	letter // of ASCII
	hex    // 0-9 a-f A-F
	base64 // of base64url: letters, digits, - and _
	token  // of RFC 6750 and 7235: base64url and . ~ + / =
	local  // of the local part of a mail address, and bytes beyond ASCII
	blanks
	word = digit | letter // and _, which isWord adds
)

var class = func() (t [256]uint16) {
	set := func(bits uint16, chars string) {
		for _, c := range []byte(chars) {
			t[c] |= bits
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		set(letter|base64|token|local, string([]byte{c, c - 'a' + 'A'}))
	}
	set(digit|base64|token|local|hex, "0123456789")
	set(hex, "abcdefABCDEF")
	set(base64|token, "-_")
	set(token, ".~+/=")
	set(local, "._%+-")
	set(blanks, " \t\r\n")
	for c := 0x80; c <= 0xff; c++ {
		t[c] |= local
	}
	return t
}()

func isWord(c byte) bool { return class[c]&word != 0 || c == '_' }

// at returns the byte at i, a blank outside of b.
func at(b []byte, i int) byte {
	if i < 0 || i >= len(b) {
		return ' '
	}
	return b[i]
}

// run returns the end of the bytes of a class that begin at i.
func run(b []byte, i int, bits uint16) int {
	for i < len(b) && class[b[i]]&bits != 0 {
		i++
	}
	return i
}

// notDomains end what looks like a host name in names that are none: units of systemd, pictures for dense screens.
var notDomains = map[string]bool{
	"service": true, "socket": true, "timer": true, "mount": true, "automount": true, "slice": true, "scope": true,
	"path": true, "device": true, "swap": true, "target": true, "png": true, "jpg": true, "jpeg": true, "gif": true,
	"svg": true, "webp": true,
}

func findEmails(b []byte, to []span) []span {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '@')
		if i < 0 {
			return to
		}
		i += from
		start := i
		for start > from && class[b[start-1]]&local != 0 {
			start--
		}
		for start < i && b[start] == '.' {
			start++
		}
		end := i + 1
		for end < len(b) && (class[b[end]]&(digit|letter) != 0 || b[end] >= 0x80 || b[end] == '-' || b[end] == '.') {
			end++
		}
		for end > i+1 && (b[end-1] == '.' || b[end-1] == '-') {
			end--
		}
		if start < i && isDomain(b[i+1:end]) {
			to = append(to, span{start, end})
		}
		from = max(end, i+1)
	}
}

// isDomain wants two names or more with nothing empty, the last one of two letters or more.
func isDomain(b []byte) bool {
	dot := bytes.LastIndexByte(b, '.')
	if dot <= 0 || b[0] == '.' || b[0] == '-' || bytes.Contains(b, []byte("..")) {
		return false
	}
	last := b[dot+1:]
	for _, c := range last {
		if class[c]&letter == 0 && c < 0x80 {
			return false
		}
	}
	return len(last) >= 2 && !notDomains[fold(string(last))]
}

func findIPv4(b []byte, to []span) []span {
	for i := 0; i < len(b); i++ {
		if class[b[i]]&digit == 0 {
			continue
		}
		if before := at(b, i-1); isWord(before) || before == '.' || before == '/' && isWord(at(b, i-2)) {
			i = run(b, i, digit) // the rest of a name, of a longer number, or of a version as in Chrome/120.0.0.0
			continue
		}
		end := quad(b, i)
		if end < 0 || isWord(at(b, end)) || at(b, end) == '.' && class[at(b, end+1)]&digit != 0 {
			i = run(b, i, digit)
			continue
		}
		to = append(to, span{i, end})
		i = end
	}
	return to
}

// quad returns the end of four numbers of 0 to 255 with dots between, -1 when there are none at i.
func quad(b []byte, i int) int {
	for n := range 4 {
		if n > 0 {
			if at(b, i) != '.' {
				return -1
			}
			i++
		}
		end := run(b, i, digit)
		v := 0
		for _, c := range b[i:min(end, i+4)] {
			v = 10*v + int(c-'0')
		}
		if end == i || v > 255 || end-i > 3 || b[i] == '0' && end-i > 1 {
			return -1
		}
		i = end
	}
	return i
}

func findMACs(b []byte, to []span) []span {
	for i := 0; i+17 <= len(b); i++ {
		sep := b[i+2]
		if sep != ':' && sep != '-' || class[b[i]]&hex == 0 {
			continue
		}
		if before, after := at(b, i-1), at(b, i+17); isWord(before) || isWord(after) || before == sep || after == sep {
			continue
		}
		if pairs(b[i:i+17], sep) {
			to = append(to, span{i, i + 17})
			i += 16
		}
	}
	return to
}

func pairs(b []byte, sep byte) bool {
	for i, c := range b {
		if i%3 == 2 {
			if c != sep {
				return false
			}
		} else if class[c]&hex == 0 {
			return false
		}
	}
	return true
}

func findUUIDs(b []byte, to []span) []span {
	for i := 8; i+28 <= len(b); i++ {
		if b[i] != '-' || b[i+5] != '-' || b[i+10] != '-' || b[i+15] != '-' {
			continue
		}
		start, end := i-8, i+28
		if before, after := at(b, start-1), at(b, end); isWord(before) || isWord(after) || before == '-' || after == '-' {
			continue
		}
		if allHex(b[start:i]) && allHex(b[i+1:i+5]) && allHex(b[i+6:i+10]) && allHex(b[i+11:i+15]) && allHex(b[i+16:end]) {
			to = append(to, span{start, end})
			i = end + 7
		}
	}
	return to
}

func allHex(b []byte) bool { return run(b, 0, hex) == len(b) }
