package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// leaning says which role a key at the top level speaks for: above 0 a sender, below 0 a receiver. What only one role has
// outweighs the file's name, which outweighs what both have and mostly one uses: a relay has a queue and targets too.
func leaning(key string) int {
	_, sender := fieldOf(reflect.TypeFor[Sender](), key)
	_, receiver := fieldOf(reflect.TypeFor[Receiver](), key)
	switch {
	case sender && !receiver:
		return 8
	case receiver && !sender:
		return -8
	}
	return map[string]int{"queue": 1, "targets": 1, "rules": 1, "outputs": -1}[key]
}

// Guess tells a sender's configuration from a receiver's by its keys and its file name.
func Guess(path string) (Role, error) {
	text, err := readBounded(path)
	if err != nil {
		return "", Problems{{Origin: Origin{File: path}, Text: "cannot read it: " + reason(err), Hint: readHint(err)}}
	}
	if !utf8.Valid(text) {
		return "", Problems{{Origin: Origin{File: path}, Text: "not YAML: got bytes that are not UTF-8", Hint: "name a configuration file"}}
	}
	sum := 0
	for _, key := range topKeys(text) {
		sum += leaning(key)
	}
	base := filepath.Base(path) + " " + filepath.Base(filepath.Dir(path))
	if strings.Contains(base, "sender") {
		sum += 4
	}
	if strings.Contains(base, "receiver") {
		sum -= 4
	}
	switch {
	case sum > 0:
		return RoleSender, nil
	case sum < 0:
		return RoleReceiver, nil
	}
	return "", Problems{{
		Origin: Origin{File: path}, Text: "cannot tell whether it is a sender's or a receiver's",
		Hint: fmt.Sprintf("say --role %s or --role %s", RoleSender, RoleReceiver),
	}}
}

// topKeys returns the keys at the top level, as far as they show where the text is not YAML.
func topKeys(text []byte) []string {
	var doc yaml.Node
	var keys []string
	if yaml.Unmarshal(text, &doc) == nil {
		if len(doc.Content) > 0 && doc.Content[0].Kind == yaml.MappingNode {
			for i := 0; i+1 < len(doc.Content[0].Content); i += 2 {
				keys = append(keys, doc.Content[0].Content[i].Value)
			}
		}
		return keys
	}
	for line := range strings.Lines(string(text)) {
		if key, _, found := strings.Cut(line, ":"); found && strings.TrimLeft(key, " \t") == key {
			keys = append(keys, key)
		}
	}
	return keys
}
