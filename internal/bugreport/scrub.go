package bugreport

import (
	"bytes"
	"regexp"
)

// removed stands where something was taken out.
const removed = "(removed)"

var (
	// secretName is a name whose value nobody else may see, with what separates the two. What follows to the end of
	// the line goes: where a value ends is said differently in YAML, JSON, unit files and logs.
	secretName = regexp.MustCompile(`(?i)(?:[\w.-]*(?:passw|passphrase|secret|token|credential|certificate|cookie|authorization)[\w.-]*` +
		`|(?:[\w.-]*[_.-])?(?:key|cert|pem|auth|psk)(?:[_.-][\w.-]*)?)["']?\s*[:=]` +
		// The environment of a plug-in in our configuration, whatever its variables are called.
		`|(?-i:[\w.-]*environment)["']?\s*:`)
	nameBefore = regexp.MustCompile(`[\w.-]$`)
	pemBegin   = regexp.MustCompile(`-----BEGIN [^-\n]*-----`)
	pemWhole   = regexp.MustCompile(`(?s)-----BEGIN [^-\n]*-----.*?(-----END [^-\n]*-----|\z)`)
	userInURL  = regexp.MustCompile(`([a-zA-Z][\w+.-]*://)[^/\s@"']*@`)
	scheme     = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w+/=.~-]{8,}`)
)

// Scrub takes out of a text what looks like a secret: values of names such as password, token and key, PEM blocks, users
// and passwords in addresses. It takes out rather too much.
func Scrub(text []byte) []byte {
	if pemBegin.Match(text) {
		text = pemWhole.ReplaceAll(text, []byte(removed))
	}
	text = userInURL.ReplaceAll(text, []byte("${1}"+removed+"@"))
	text = scheme.ReplaceAll(text, []byte("$1 "+removed))
	var out []byte
	deeper := -1 // indentation of a name whose value takes up the following, deeper lines; -1: none
	continued := false
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		body := bytes.TrimRight(line, "\r\n")
		indent := len(body) - len(bytes.TrimLeft(body, " \t-"))
		blank := len(bytes.TrimSpace(body)) == 0
		switch {
		case continued:
			continued = bytes.HasSuffix(body, []byte(`\`))
			continue
		case deeper >= 0 && (indent > deeper || blank && len(line) > 0):
			continue
		}
		deeper = -1
		at := find(body)
		if at < 0 {
			out = append(out, line...)
			continue
		}
		value := bytes.TrimSpace(body[at:])
		continued = bytes.HasSuffix(value, []byte(`\`))
		if len(value) == 0 || value[0] == '|' || value[0] == '>' || value[0] == '#' {
			deeper = indent
		}
		out = append(out, body[:at]...)
		if len(value) > 0 {
			out = append(out, " "+removed...)
		}
		out = append(out, line[len(body):]...)
	}
	return out
}

// find returns where in a line the value of the first secret begins, -1 if there is none.
func find(line []byte) int {
	if !bytes.ContainsAny(line, ":=") { // most lines of long texts
		return -1
	}
	for from := 0; ; {
		m := secretName.FindIndex(line[from:])
		if m == nil {
			return -1
		}
		if !nameBefore.Match(line[:from+m[0]]) {
			return from + m[1]
		}
		from += m[1]
	}
}
