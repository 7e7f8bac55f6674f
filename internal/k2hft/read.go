package k2hft

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
)

// ErrNothing is wrapped where a file has none of the sections that can be translated.
var ErrNothing = errors.New("neither K2HFTFUSE nor K2HFTFUSESVR is in it")

// bom is what some editors of Windows put in front of UTF-8.
var bom = []byte("\xef\xbb\xbf")

// Read reads a configuration. The name's end says the syntax, as in the original: .ini, .yaml, .yml, .json; of others
// the text does. open reads files for INCLUDE; nil means that there are none.
func Read(name string, text []byte, open func(path string) ([]byte, error)) (*Config, error) {
	text = bytes.TrimPrefix(text, bom)
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml":
		return readYAML(name, text, false)
	case ".json":
		return readYAML(name, text, true)
	case ".ini", ".conf", ".cfg":
		return readINI(name, text, open)
	}
	for line := range strings.Lines(string(text)) {
		line = trim(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '{':
			return readYAML(name, text, true)
		case line[0] != '[' && strings.Contains(line, ":") && !strings.Contains(line, "="):
			return readYAML(name, text, false)
		}
		break
	}
	return readINI(name, text, open)
}
