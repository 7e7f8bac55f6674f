package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unfit adds to the error of an execve(2) of path what it does not say: that it is not the program that is missing but the one
// that its first line names, and what a file that is no program lacks.
func unfit(path string, err error) error {
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w: want a program for this machine, or a script whose first line is #! and its interpreter", err)
	case errors.Is(err, unix.ENOENT):
		if name := interpreter(path); name != "" {
			if _, missing := os.Stat(name); missing != nil {
				return fmt.Errorf("its first line wants the interpreter %q: %w", name, err)
			}
		}
	}
	return err
}

// interpreter returns the program that the first line of a script names, "" if there is none (execve(2), Interpreter scripts).
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	if err != nil && err != io.EOF {
		return ""
	}
	rest, ok := strings.CutPrefix(line, "#!")
	words := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }) // a CR is part of the name
	if !ok || len(words) == 0 {
		return ""
	}
	return words[0]
}
