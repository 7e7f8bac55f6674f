package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"ftfuse/internal/record"
)

// words are the types whose values are one of a few words.
var words = map[reflect.Type]map[string]any{
	reflect.TypeFor[record.Mode](): {
		"auto": record.Auto, "open": record.OpenMode, "write": record.WriteMode,
	},
	reflect.TypeFor[record.Unit](): {
		"line": record.Line, "write": record.Write, "binary": record.Binary,
	},
	reflect.TypeFor[record.LineEnd](): {
		"lf": record.LF, "crlf": record.CRLF, "cr": record.CR, "nul": record.NUL, "any": record.Any,
	},
	reflect.TypeFor[record.LongRecord](): {
		"split": record.Split, "truncate": record.Truncate, "drop": record.DropLong,
	},
	reflect.TypeFor[record.WhenFull](): {
		"drop-oldest": record.DropOldest, "drop-newest": record.DropNewest,
		"block": record.Block, "local": record.Local, "refuse": record.Refuse,
	},
}

// wordOrder is the order in which people are told the words.
var wordOrder = map[reflect.Type][]string{
	reflect.TypeFor[record.Mode]():       {"auto", "open", "write"},
	reflect.TypeFor[record.Unit]():       {"line", "write", "binary"},
	reflect.TypeFor[record.LineEnd]():    {"lf", "crlf", "cr", "nul", "any"},
	reflect.TypeFor[record.LongRecord](): {"split", "truncate", "drop"},
	reflect.TypeFor[record.WhenFull]():   {"drop-oldest", "drop-newest", "block", "local", "refuse"},
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
	form := f.Tag.Get("form")
	if v == UserID(Keep) && form == "id" {
		return nil, wantError{got: text, want: wants(f)}
	}
	if s, ok := v.(string); ok {
		return v, checkForm(form, s)
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
