// Package k2hft reads configurations of K2HFTFUSE, its receiver and chmpx, and writes ours from them.
//
// # What is read
//
// INI: one `KEY = VALUE` a line, blanks around both are dropped, keys are in any case. `[NAME]` alone on a line begins a
// section; [K2HFTFUSE_RULE] and [K2HFTFUSE_RULE_DIR] stand as often as there are rules, ALLOW and DENY as often as there
// are patterns, and the last of other keys wins. A line that begins with # or ; is a comment, and # after a blank outside
// of quotes begins one. Within '...' every byte stands for itself; within "..." \" and \\ are escapes; outside of both a
// backslash goes and the next byte stands for itself. `INCLUDE = FILE` puts the lines of another file there: that is
// documented, and never worked.
//
// YAML, and JSON with comments and a comma too many, which is how the original reads it: sections are mappings, SVRNODE
// and SLVNODE lists of them, and the rules lists of mappings within K2HFTFUSE. An ALLOW or DENY is one text or a list,
// whose elements are a pattern or a list of a pattern and a replacement.
//
// # What is a pattern
//
// The documentation says that a value in double quotes is a POSIX extended regular expression, and anything else a text
// to look for. As built, the readers take the quotes off first, so that the documented form never matches as a pattern;
// only quotes within quotes do. Here the documented meaning holds: in INI what is in double quotes, in YAML and JSON
// what is quoted and has characters that mean something in a pattern. One exception is a single bracket expression such
// as "[error]": as a pattern it would be one character, so it is the text that people know from logs.
package k2hft
