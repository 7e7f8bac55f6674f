package filter

import (
	"bytes"
	"strings"
)

// passwordNames and secretNames are what names of values end with that must not be read, regardless of case.
var (
	passwordNames = strings.Fields("password passwd passphrase passwort pwd")
	secretNames   = strings.Fields("secret token api_key api-key apikey access_key access-key accesskey secret_key secret-key secretkey private_key")
)

func findPasswords(b []byte, to []span) []span { return findNamed(b, to, passwordNames, true) }
func findSecrets(b []byte, to []span) []span   { return findNamed(b, to, secretNames, false) }

// findNamed takes the values of name=value, name: value, "name": "value" and the like. prose says whether an unquoted
// name, a colon and a blank count too: in "password: x" they mostly are a value, in "bad token: expected }" not.
func findNamed(b []byte, to []span, names []string, prose bool) []span {
	for start, end := nextName(b, 0); start < end; start, end = nextName(b, end) {
		name := b[start:end]
		if !endsWithOne(name, names) {
			continue
		}
		value := valueStart(b, end)
		if value < 0 || !prose && b[end] == ':' && class[at(b, end+1)]&blanks != 0 {
			continue
		}
		if hasSuffixFold(name, "pwd") && at(b, value) == '/' {
			continue // sudo and shells say the working directory so
		}
		stop := valueEnd(b, value)
		if v := string(b[value:stop]); v == "" || v == "null" || v == "true" || v == "false" {
			continue
		}
		to = append(to, span{value, stop})
		end = stop
	}
	return to
}

// nextName returns the next run of letters, digits, _ and -, from i on; an empty one at the end.
func nextName(b []byte, i int) (start, end int) {
	for i < len(b) && class[b[i]]&base64 == 0 {
		i++
	}
	return i, run(b, i, base64)
}

func endsWithOne(name []byte, names []string) bool {
	for _, n := range names {
		if hasSuffixFold(name, n) {
			return true
		}
	}
	return false
}

// hasSuffixFold is HasSuffix regardless of the case of ASCII letters in b; suffix has small ones.
func hasSuffixFold(b []byte, suffix string) bool {
	if len(b) < len(suffix) {
		return false
	}
	for i, c := range b[len(b)-len(suffix):] {
		if lower[c] != suffix[i] {
			return false
		}
	}
	return true
}

// valueStart returns where the value of a name that ends at i begins, quotes not counted: behind =, :, := or =>, with
// blanks around it. -1: the name has no value here.
func valueStart(b []byte, i int) int {
	i = skipQuote(b, i)
	i = run(b, i, blanks)
	sign := at(b, i)
	if sign != '=' && sign != ':' {
		return -1
	}
	i++
	switch next := at(b, i); {
	case next == sign:
		return -1 // a comparison, or a name of C++
	case sign == ':' && next == '=', sign == '=' && next == '>':
		i++
	}
	return skipQuote(b, run(b, i, blanks))
}

// skipQuote skips one quote, which may have a \ before it where JSON lies in JSON.
func skipQuote(b []byte, i int) int {
	if at(b, i) == '\\' && isQuote(at(b, i+1)) {
		return i + 2
	}
	if isQuote(at(b, i)) {
		return i + 1
	}
	return i
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// valueEnd returns where the value that begins at start ends: at the quote that closes the one before it, else at a
// blank or what separates values.
func valueEnd(b []byte, start int) int {
	quote := at(b, start-1)
	if !isQuote(quote) {
		return bareEnd(b, start)
	}
	if at(b, start-2) == '\\' {
		if n := bytes.Index(b[start:], []byte{'\\', quote}); n >= 0 {
			return start + n
		}
		return len(b)
	}
	for i := start; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return len(b)
}

// bareEnd takes rather too much than the first half of a password: a comma ends it only with a blank behind it, and
// brackets are let off only at the end.
func bareEnd(b []byte, start int) int {
	end := start
	for end < len(b) && class[b[end]]&blanks == 0 && strings.IndexByte(`&;"'<`, b[end]) < 0 {
		end++
	}
	if end < len(b) && isQuote(b[end]) && end > start && b[end-1] == '\\' {
		end--
	}
	for end > start && strings.IndexByte(")]},.", b[end-1]) >= 0 {
		end--
	}
	return end
}
