package config

import (
	"errors"
	"fmt"
	"net"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/rules"
)

// words are the types whose values are one of a few words.
var words = map[reflect.Type]map[string]any{
	reflect.TypeFor[record.Mode](): {
		"auto": record.Auto, "open": record.OpenMode, "write": record.WriteMode,
	},
	reflect.TypeFor[record.Unit](): {
		"line": record.Line, "write": record.Write, "binary": record.Binary,
	},
	reflect.TypeFor[record.WhenFull](): {
		"drop-oldest": record.DropOldest, "drop-newest": record.DropNewest,
		"block": record.Block, "local": record.Local, "refuse": record.Refuse,
	},
}

// wordOrder is the order in which people are told the words.
var wordOrder = map[reflect.Type][]string{
	reflect.TypeFor[record.Mode]():     {"auto", "open", "write"},
	reflect.TypeFor[record.Unit]():     {"line", "write", "binary"},
	reflect.TypeFor[record.WhenFull](): {"drop-oldest", "drop-newest", "block", "local", "refuse"},
}

// choices returns the words that a field takes, or nil.
func choices(f reflect.StructField) []string {
	if list := f.Tag.Get("oneof"); list != "" {
		return strings.Fields(list)
	}
	return wordOrder[f.Type]
}

// parse reads the text of one scalar for field f; for a list field, of one element. A failure says what is wanted.
func parse(f reflect.StructField, text string) (any, error) {
	if c := choices(f); c != nil {
		return parseWord(f, text, c)
	}
	t := f.Type
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	v, err := parseType(f, t, text)
	if err != nil {
		return nil, err
	}
	if err := bounds(f, v, text); err != nil {
		return nil, err
	}
	if s, ok := v.(string); ok {
		return v, checkForm(f.Tag.Get("form"), s)
	}
	return v, nil
}

func parseWord(f reflect.StructField, text string, list []string) (any, error) {
	for _, w := range list {
		if w != text {
			continue
		}
		if table := words[f.Type]; table != nil {
			return table[w], nil
		}
		return w, nil
	}
	return nil, wantError{got: text, want: oneOf(list), hint: didYouMean(text, list)}
}

func parseType(f reflect.StructField, t reflect.Type, text string) (any, error) {
	var v any
	var err error
	switch t {
	case reflect.TypeFor[Size]():
		v, err = ParseSize(text)
	case reflect.TypeFor[time.Duration]():
		v, err = ParseDuration(text)
	case reflect.TypeFor[Mode]():
		v, err = parseMode(text)
	case reflect.TypeFor[UserID]():
		v, err = parseUser(text)
	case reflect.TypeFor[GroupID]():
		v, err = parseGroup(text)
	case reflect.TypeFor[int]():
		v, err = strconv.Atoi(text)
	case reflect.TypeFor[bool]():
		v, err = parseBool(text)
	case reflect.TypeFor[string]():
		return text, nil
	default:
		panic("config: no parser for " + t.String())
	}
	if err != nil {
		return nil, wantError{got: text, want: wants(f), hint: unitHint(t, text)}
	}
	return v, nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("boolean %q: want true or false", text)
}

// unitHint guesses what was meant by a value of type t that could not be read.
func unitHint(t reflect.Type, text string) string {
	_, notNumber := strconv.ParseFloat(text, 64)
	switch {
	case t == reflect.TypeFor[time.Duration]() && notNumber == nil:
		return "write " + text + "s for seconds"
	case t == reflect.TypeFor[bool]() && (text == "yes" || text == "on" || text == "y" || text == "1"):
		return "write true"
	case t == reflect.TypeFor[bool]() && (text == "no" || text == "off" || text == "n" || text == "0"):
		return "write false"
	}
	return ""
}

// bounds holds v to the min and max tags of f, which are written as people write the value.
func bounds(f reflect.StructField, v any, text string) error {
	least, most := f.Tag.Get("min"), f.Tag.Get("max")
	if least == "" && most == "" {
		return nil
	}
	number := reflect.ValueOf(v).Int()
	limit := func(tag string) int64 {
		b, err := parseType(f, f.Type, tag)
		if err != nil {
			panic("config: tag of " + f.Name + ": " + err.Error())
		}
		return reflect.ValueOf(b).Int()
	}
	switch {
	case least != "" && most != "" && (number < limit(least) || number > limit(most)):
		return wantError{got: text, want: "between " + least + " and " + most}
	case least != "" && number < limit(least):
		return wantError{got: text, want: "at least " + least}
	case most != "" && number > limit(most):
		return wantError{got: text, want: "at most " + most}
	}
	return nil
}

// checkForm judges a text by its form tag; a question mark at the end allows the empty text.
func checkForm(form, s string) error {
	if name, ok := strings.CutSuffix(form, "?"); ok {
		if s == "" {
			return nil
		}
		form = name
	}
	if strings.IndexByte(s, 0) >= 0 {
		return wantError{got: s, want: "text without NUL"}
	}
	switch form {
	case "path":
		return checkPath(s)
	case "name":
		return checkName(s)
	case "address":
		return checkAddress(s)
	case "glob":
		var bad *rules.PatternError
		if errors.As(rules.CheckPattern(s), &bad) {
			return wantError{got: s, want: bad.Want, hint: globHint(s)}
		}
	case "zone":
		if _, err := Zone(s); err != nil {
			return wantError{got: s, want: "local, UTC or a zone of the tz database, as in Europe/Berlin"}
		}
	case "text":
		if s == "" {
			return wantError{got: s, want: "text that is not empty"}
		}
	}
	return nil
}

func checkPath(s string) error {
	switch {
	case s == "":
		return wantError{got: s, want: "an absolute path"}
	case !strings.HasPrefix(s, "/"):
		return wantError{got: s, want: "an absolute path", hint: "relative paths would depend on where ftfuse is started"}
	case path.Clean(s) != s:
		return wantError{got: s, want: "a clean path", hint: "write " + path.Clean(s)}
	}
	return nil
}

// checkName holds names to what fits everywhere they are used: unit names, metrics, environment variables.
func checkName(s string) error {
	const want = "a name of letters, digits, - and _, 64 at most, beginning with a letter or digit"
	if s == "" || len(s) > 64 || s[0] == '-' || s[0] == '_' {
		return wantError{got: s, want: want}
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return wantError{got: s, want: want}
		}
	}
	return nil
}

func checkAddress(s string) error {
	const want = "HOST:PORT, [IPV6]:PORT or unix:/PATH"
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		if err := checkPath(socket); err != nil || len(socket) > maxSocketPath {
			return wantError{got: s, want: want}
		}
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		w := wantError{got: s, want: want}
		if strings.Count(s, ":") == 0 && s != "" {
			w.hint = "write " + s + ":" + Port + " for the usual port"
		}
		return w
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && host == "" {
		return wantError{got: s, want: want + ", with a port from 1 to 65535"}
	}
	return nil
}

// maxSocketPath is what fits in sockaddr_un (unix(7)) with its final NUL.
const maxSocketPath = 107

// Network returns s, an address of the configuration, as net.Dial and net.Listen take it.
func Network(s string) (network, address string) {
	if p, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", p
	}
	return "tcp", s
}

// Zone returns the time zone that time_zone names.
func Zone(s string) (*time.Location, error) {
	switch s {
	case "local":
		return time.Local, nil
	case "", "Local":
		return nil, fmt.Errorf("time zone %q: want local, UTC or a zone of the tz database", s)
	}
	return time.LoadLocation(s)
}

func globHint(s string) string {
	switch {
	case strings.HasPrefix(s, "/"):
		return "write " + strings.TrimLeft(s, "/")
	case strings.HasSuffix(s, "/"):
		return "write " + s + "** for everything below it"
	}
	return ""
}

// wantError says what was found and what was expected.
type wantError struct{ got, want, hint string }

func (e wantError) Error() string { return fmt.Sprintf("got %s, want %s", quote(e.got), e.want) }

// quote returns s in quotes, cut to what fits in a line.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:77]) + "..."
	}
	return strconv.Quote(s)
}

func oneOf(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}
