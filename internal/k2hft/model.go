package k2hft

import (
	"fmt"
	"strings"
)

// Config is a configuration as it was written: sections in order, with the entries of each.
type Config struct {
	File     string // name for people
	Sections []Section
	Included []string // files that INCLUDE brought in
	Stray    []Entry  // what stands in no section
	Mended   bool     // names of servers were put in quotes, without which it is no YAML
}

// Section is one [NAME], or one mapping of a list.
type Section struct {
	Name    string // in upper case, without brackets
	Place   Place
	Entries []Entry
}

// Entry is one KEY = VALUE.
type Entry struct {
	Key   string // in upper case
	Place Place
	// Text is the value as the original's reader makes it, without quotes.
	Text string
	// Lost says that the reader takes backslashes away that stand outside of quotes; Raw has them.
	Lost bool
	Raw  string
	// Parts are the one or two values of ALLOW and DENY.
	Parts []Part
}

// Part is a value with what its quotes mean.
type Part struct {
	Text   string // without the quotes around it
	Quoted bool   // in double quotes, or quoted by the syntax
	Inner  bool   // in quotes within quotes: a pattern also for the original's reader
}

// Place is where something stands.
type Place struct {
	File     string
	Line     int  // counted from 1
	Included bool // File is not the one that was named, but one that it includes
}

func (p Place) String() string {
	if p.File == "" {
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// The sections.
const (
	secMain    = "K2HFTFUSE"
	secRule    = "K2HFTFUSE_RULE"
	secRuleDir = "K2HFTFUSE_RULE_DIR"
	secSvr     = "K2HFTFUSESVR"
	secDtor    = "K2HTPDTOR"
	secDtorSvr = "K2HTPDTORSVR"
	secGlobal  = "GLOBAL"
	secSvrNode = "SVRNODE"
	secSlvNode = "SLVNODE"
)

// Has reports whether there is a section of that name.
func (c *Config) Has(name string) bool { return len(c.all(name)) > 0 }

// all returns the sections of a name.
func (c *Config) all(name string) []*Section {
	var out []*Section
	for i := range c.Sections {
		if c.Sections[i].Name == name {
			out = append(out, &c.Sections[i])
		}
	}
	return out
}

// last returns the entry of a key that holds: the last one.
func (s *Section) last(key string) *Entry {
	for i := len(s.Entries) - 1; i >= 0; i-- {
		if s.Entries[i].Key == key {
			return &s.Entries[i]
		}
	}
	return nil
}

// every returns all entries of a key, in order.
func (s *Section) every(key string) []*Entry {
	var out []*Entry
	for i := range s.Entries {
		if s.Entries[i].Key == key {
			out = append(out, &s.Entries[i])
		}
	}
	return out
}

// text returns the value of a key, "" if it is not there.
func (s *Section) text(key string) string {
	if e := s.last(key); e != nil {
		return e.Text
	}
	return ""
}

// truth reads yes, y, on, no, n and off, as the original does. ok is false for anything else, which it skips.
func truth(text string) (value, ok bool) {
	switch strings.ToUpper(text) {
	case "Y", "YES", "ON":
		return true, true
	case "N", "NO", "OFF":
		return false, true
	}
	return false, false
}
