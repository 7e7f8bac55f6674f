package filter

import (
	"bytes"
	"strings"
)

func findAWSKeys(b []byte, to []span) []span {
	for i := 0; i+20 <= len(b); i++ {
		if b[i] != 'A' || isWord(at(b, i-1)) || isWord(at(b, i+20)) {
			continue
		}
		if four := string(b[i : i+4]); four != "AKIA" && four != "ASIA" {
			continue
		}
		n := i + 4
		for n < i+20 && (b[n] >= 'A' && b[n] <= 'Z' || class[b[n]]&digit != 0) {
			n++
		}
		if n == i+20 {
			to = append(to, span{i, n})
			i = n
		}
	}
	return to
}

// findJWTs takes three parts or more of base64url with dots between, the first of which begins with {" in base64.
func findJWTs(b []byte, to []span) []span {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("eyJ"))
		if i < 0 {
			return to
		}
		i += from
		end := run(b, i, base64)
		from = end
		if class[at(b, i-1)]&base64 != 0 || end-i < 10 || at(b, end) != '.' {
			continue
		}
		second := run(b, end+1, base64)
		if second-end-1 < 10 || at(b, second) != '.' {
			continue
		}
		for end = second; at(b, end) == '.'; {
			next := run(b, end+1, base64)
			if next == end+1 && end != second {
				break // a full stop behind the token
			}
			end = next
		}
		to = append(to, span{i, end})
		from = end
	}
}

// findPrivateKeys takes PEM blocks of private keys, and what has no end up to the text's.
func findPrivateKeys(b []byte, to []span) []span {
	dashes, begin, end := []byte("-----"), []byte("-----BEGIN "), []byte("-----END ")
	for from := 0; ; {
		i := bytes.Index(b[from:], begin)
		if i < 0 {
			return to
		}
		i += from
		from = i + len(begin)
		label := b[from:min(len(b), from+60)]
		n := bytes.Index(label, dashes)
		if n < 0 || !bytes.Contains(label[:n], []byte("PRIVATE KEY")) {
			continue
		}
		stop := len(b)
		if e := bytes.Index(b[from:], end); e >= 0 {
			rest := from + e + len(end)
			if d := bytes.Index(b[rest:], dashes); d >= 0 {
				stop = rest + d + len(dashes)
			}
		}
		to = append(to, span{i, stop})
		from = stop
	}
}

// findURLPasswords takes the password of scheme://user:password@host.
func findURLPasswords(b []byte, to []span) []span {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("://"))
		if i < 0 {
			return to
		}
		start := from + i + 3
		end := start
		for end < len(b) && class[b[end]]&blanks == 0 && strings.IndexByte(`/?#"'<>`, b[end]) < 0 {
			end++
		}
		from = end
		host := bytes.LastIndexByte(b[start:end], '@')
		if host < 0 {
			continue
		}
		colon := bytes.IndexByte(b[start:start+host], ':')
		if colon >= 0 && colon+1 < host {
			to = append(to, span{start + colon + 1, start + host})
		}
	}
}

// schemes are those of RFC 7235 and others whose credentials are one token.
var schemes = map[string]bool{"bearer": true, "basic": true, "token": true, "negotiate": true, "ntlm": true, "apikey": true}

const minBearer = 16 // bytes of a token that no header's name announces

// findBearers takes the token behind the word Bearer, and that of an Authorization header of any scheme.
func findBearers(b []byte, to []span) []span {
	for start, end := nextName(b, 0); start < end; start, end = nextName(b, end) {
		name, value, sure := b[start:end], end, false
		switch {
		case hasSuffixFold(name, "authorization"):
			if value = valueStart(b, end); value < 0 {
				continue
			}
			scheme := run(b, value, letter|digit)
			if sure = class[at(b, scheme)]&blanks != 0 && schemes[fold(string(b[value:min(scheme, value+10)]))]; sure {
				value = run(b, scheme, blanks)
			}
		case len(name) == len("bearer") && hasSuffixFold(name, "bearer") && class[at(b, end)]&blanks != 0:
			value = run(b, end, blanks)
		default:
			continue
		}
		if stop := run(b, value, token); stop > value {
			if sure || longToken(b[value:stop]) {
				to = append(to, span{value, stop})
			}
			end = stop // not looked at again: many names in one token would take time by the square of its length
		}
	}
	return to
}

// longToken tells a token from a word of prose by its length and a digit.
func longToken(b []byte) bool {
	return len(b) >= minBearer && bytes.ContainsAny(b, "0123456789")
}
