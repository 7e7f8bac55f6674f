package output

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	maxName  = 255                             // bytes of one component, NAME_MAX
	maxPath  = 3000                            // bytes of a path, well below PATH_MAX
	maxDepth = 64                              // components of a path
	ownName  = ".ftfuse-"                      // components that begin so are ours
	lostDir  = "_misplaced/"                   // where data goes whose path cannot be used
	hashLen  = 1 + 16                          // ~ and hexadecimal digits at the end of a shortened name
	tailRoom = len("-20060102-150405.999.zst") // what rotation adds to a name
)

// appendSafe appends a value that a peer chose. NUL goes; control bytes, and a % that could be read as an escape,
// become %XX, so that the value can be had back. In a single name / becomes %2F. In a path the empty, . and ..
// components go. A name that is . or .. has its dots escaped.
func appendSafe(dst []byte, v string, slashes bool) []byte {
	if !slashes {
		if v == "." || v == ".." {
			return append(dst, strings.Repeat("%2E", len(v))...)
		}
		return appendEscaped(dst, v)
	}
	start := len(dst)
	for part := range strings.SplitSeq(v, "/") {
		if strings.Trim(part, "\x00") == "" || part == "." || part == ".." {
			continue
		}
		if len(dst) > start {
			dst = append(dst, '/')
		}
		dst = appendEscaped(dst, part)
	}
	return dst
}

func appendEscaped(dst []byte, v string) []byte {
	const digits = "0123456789ABCDEF"
	if strings.IndexByte(v, 0) >= 0 { // first: what stood on both sides of one may read as an escape
		v = strings.ReplaceAll(v, "\x00", "")
	}
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c < ' ' || c == 0x7f || c == '/' || c == '%' && i+2 < len(v) && isHex(v[i+1]) && isHex(v[i+2]):
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// plainPath says that p needs nothing from safePath.
func plainPath(p []byte) bool {
	if len(p) == 0 || len(p) > maxPath || p[0] == '/' || p[len(p)-1] == '/' {
		return false
	}
	depth, start := 1, 0
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		n := i - start
		if n == 0 || n > maxName-tailRoom || p[start] == '.' && (n == 1 || n == 2 && p[start+1] == '.' || n >= len(ownName) && string(p[start:start+len(ownName)]) == ownName) {
			return false
		}
		depth, start = depth+1, i+1
	}
	return depth <= maxDepth
}

// safePath makes a path of what the template rendered, whatever that is: relative, no component empty, . or .. (two
// values side by side may make one), none ours, none too long, none too many.
func safePath(p string) string {
	var out []string
	length := 0
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "":
			continue
		case part == "." || part == "..":
			part = strings.Repeat("%2E", len(part))
		case strings.HasPrefix(part, ownName):
			part = "%2E" + part[1:]
		}
		part = shorten(part, maxName-tailRoom)
		if length += len(part) + 1; length > maxPath || len(out) == maxDepth-1 {
			out = append(out, shorten(strings.Repeat("~", maxName)+p, hashLen))
			break
		}
		out = append(out, part)
	}
	if len(out) == 0 {
		return "_"
	}
	return strings.Join(out, "/")
}

// shorten bounds a name to n bytes; what a longer one loses is replaced by a checksum of all of it.
func shorten(name string, n int) string {
	if len(name) <= n {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:n-hashLen] + "~" + hex.EncodeToString(sum[:8])
}

// misplaced is the name for data that cannot go to p.
func misplaced(p string) string {
	return lostDir + shorten(string(appendEscaped(nil, p)), maxName-tailRoom)
}
