package config

import (
	"reflect"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "512": 512, "64KiB": 64 << 10, "16 MiB": 16 << 20, "1.5GiB": 3 << 29, "2TiB": 2 << 40,
		"16MB": 16e6, "1kB": 1000, "8G": 8 << 30, "7B": 7,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q prints as %q, which reads as %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "1e3", "MiB", "1 2", "9999999TiB", "0x10", "NaN", "inf", "1_000", "5 apples"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "500ms": 500 * time.Millisecond, "5s": 5 * time.Second, "2h": 2 * time.Hour,
		"7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "10m": 10 * time.Minute,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", text, got, err, want)
		}
		if again, err := ParseDuration(FormatDuration(got)); err != nil || again != got {
			t.Errorf("%q prints as %q, which reads as %s, %v", text, FormatDuration(got), again, err)
		}
	}
	for _, text := range []string{"", "5", "-5s", "d", "1d-2h", "99999999d", "1 hour", "1w"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %s, want an error", text, got)
		}
	}
	for d, want := range map[time.Duration]string{2 * time.Minute: "2m", time.Hour: "1h", 90 * time.Minute: "1h30m", 20 * time.Second: "20s"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := keysOf(reflect.TypeFor[Rule]())
	for word, want := range map[string]string{"matchs": "match", "when-full": "when_full", "Sned": "send", "colour": "", "x": ""} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// FuzzReadYAML feeds the reader whatever it likes: it must neither panic nor let through what does not decode.
func FuzzReadYAML(f *testing.F) {
	f.Add("host: a\nrules: [{name: x, match: ['**'], expire: 7d}]\n")
	f.Add("mounts: &a [*a]\n")
	f.Add("? [a, b]\n: c\n")
	f.Add(everything)
	f.Add("rules: [{name: x, filters: [{}, 7, &f {action: deny, uids: [a]}, *f], limits: {}, tests: [[]]}]\noutputs: [{name: y, plugin: {command: /x}}]\n")
	f.Add("queue: {max_size: 1e309}\nlog: !!binary aGk=\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, problems := readYAML("fuzz", []byte(text), reflect.TypeFor[Sender]())
		defaults := DefaultSender()
		s := newStack(&defaults)
		s.push(l, true)
		var c Sender
		if err := s.decode(&c); err != nil {
			t.Errorf("%v, after %v", err, problems)
		}
	})
}
