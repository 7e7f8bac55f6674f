package filter

import "bytes"

// findIPv6 takes runs of hexadecimal digits, colons and dots that are addresses as in RFC 4291.
func findIPv6(b []byte, to []span) []span {
	for i := 0; i < len(b); {
		if !inIPv6(b[i]) {
			i++
			continue
		}
		start, end := i, i
		for end < len(b) && inIPv6(b[end]) {
			end++
		}
		i = end
		// name:ADDRESS and ADDRESS: and ADDRESS. as in prose
		if b[start] == ':' && end-start > 1 && b[start+1] != ':' {
			start++
		}
		for end > start && (b[end-1] == '.' || b[end-1] == ':' && at(b, end-2) != ':') {
			end--
		}
		if isWord(at(b, start-1)) || isWord(at(b, end)) || !isIPv6(b[start:end]) {
			continue
		}
		if at(b, end) == '%' { // the zone of a link-local address
			end = run(b, end+1, digit|letter)
		}
		to = append(to, span{start, end})
		i = max(i, end)
	}
	return to
}

func inIPv6(c byte) bool { return class[c]&hex != 0 || c == ':' || c == '.' }

// isIPv6 wants eight groups, or fewer with one ::. Without a digit it is rather a name, as in ab::cd.
func isIPv6(b []byte) bool {
	if bytes.Count(b, []byte(":")) < 2 || !bytes.ContainsAny(b, "0123456789") {
		return false
	}
	left, right, short := bytes.Cut(b, []byte("::"))
	n, ok := groups(left, !short)
	if !short {
		return ok && n == 8
	}
	m, okRight := groups(right, true)
	return ok && okRight && n+m <= 7
}

// groups counts the groups of 16 bits in b; at the end of the address the last two may be an IPv4 address.
func groups(b []byte, last bool) (n int, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	for {
		group, rest, more := bytes.Cut(b, []byte(":"))
		if !more && last && bytes.IndexByte(group, '.') >= 0 {
			return n + 2, quad(group, 0) == len(group)
		}
		if len(group) == 0 || len(group) > 4 || !allHex(group) || n == 8 {
			return n, false
		}
		n++
		if !more {
			return n, true
		}
		b = rest
	}
}
