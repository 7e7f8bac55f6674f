package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ftfuse/internal/queue"
	"ftfuse/internal/record"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ftfuse": main})
}

// Each script is one behaviour of the program as people see it.
func TestScripts(t *testing.T) {
	if files, err := filepath.Glob("testdata/script/*.txtar"); err != nil || len(files) < 10 {
		t.Fatalf("got %d scripts, want at least 10 (%v)", len(files), err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":      code,
			"answers":   answers,
			"narrow":    narrow,
			"makequeue": makeQueue,
			"expand":    expandFile,
			"same":      same,
		},
	})
}

// code N COMMAND... wants an exit code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("got exit code %s, want %s", got, args[0])
	}
}

// answers SOCKET waits until somebody listens there.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: answers SOCKET")
	}
	end := time.Now().Add(60 * time.Second)
	for {
		c, err := net.Dial("unix", ts.MkAbs(args[0]))
		if err == nil {
			ts.Check(c.Close())
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("nobody listens: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// narrow wants that no line of the last output is wider than 80 columns and none ends in a blank.
func narrow(ts *testscript.TestScript, neg bool, _ []string) {
	for _, line := range strings.Split(ts.ReadFile("stdout"), "\n") {
		if len([]rune(line)) > 80 || regexp.MustCompile(`[ \t]$`).MatchString(line) {
			ts.Fatalf("line is too wide or ends in a blank: %q", line)
		}
	}
}

// same FILE... wants YAML that differs in its comments only.
func same(ts *testscript.TestScript, neg bool, args []string) {
	comment := regexp.MustCompile(`(?m)^#.*\n| +# .*$`)
	for _, name := range args {
		got, want := comment.ReplaceAllString(ts.ReadFile(name), ""), comment.ReplaceAllString(ts.ReadFile(args[0]), "")
		if got != want {
			ts.Fatalf("%s:\n%s\nwant as in %s:\n%s", name, got, args[0], want)
		}
	}
}

// expand FILE... replaces $WORK in files by the script's directory.
func expandFile(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		text := strings.ReplaceAll(ts.ReadFile(name), "$WORK", ts.Getenv("WORK"))
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
}

// makequeue DIR makes a queue of a stopped sender that holds one line for the target default.
func makeQueue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: makequeue DIR")
	}
	source := &record.Source{Stream: record.Stream{Sender: record.SenderID{1}}, Host: "web1"}
	q, _, err := queue.Open(queue.Options{Dir: ts.MkAbs(args[0]), Source: source, Logger: quiet})
	ts.Check(err)
	_, err = q.Cursor("default")
	ts.Check(err)
	line := []byte("hello\n")
	ts.Check(q.Append([]record.Chunk{{
		Source: source, File: &record.File{Mount: "log", Path: "a.log", Rule: "all"}, Writer: &record.Writer{}, Time: time.Now().UnixNano(),
		Records: 1, CRC: record.CRC(line), Len: uint32(len(line)), Data: line,
	}}))
	ts.Check(q.Close())
}
