// Command manpages writes the manual pages: of what the programs say of themselves, and of docs/configuration.md.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

func main() {
	os.Exit(run())
}

func run() int {
	programs := flag.String("programs", "bin", "folder of the built programs")
	out := flag.String("out", "dist/man", "folder for the pages")
	version := flag.String("version", "", "version of what they are about")
	date := flag.Int64("date", time.Now().Unix(), "date of the pages, in seconds since 1970")
	flag.Parse()
	m := maker{*programs, *out, *version, time.Unix(*date, 0).UTC()}
	if err := m.all(); err != nil {
		fmt.Fprintf(os.Stderr, "ftfuse: error: write manual pages: %v\n", err)
		return 1
	}
	return 0
}

type maker struct {
	programs, out, version string
	date                   time.Time
}

func (m maker) all() error {
	if err := os.MkdirAll(m.out, 0o755); err != nil {
		return err
	}
	for _, program := range []struct{ name, section, group, asked string }{
		{"ftfuse", "1", "User Commands", "manual"},
		{"mount.ftfuse", "8", "System Administration", "--manual"},
	} {
		text, err := exec.Command(filepath.Join(m.programs, program.name), program.asked).Output()
		if err != nil {
			return fmt.Errorf("%s %s: %w", program.name, program.asked, err)
		}
		if err := m.write(program.name, program.section, program.group, string(text)); err != nil {
			return err
		}
	}
	text, err := os.ReadFile("docs/configuration.md")
	if err != nil {
		return err
	}
	for _, role := range []string{"sender", "receiver"} {
		page, err := configuration(string(text), role)
		if err != nil {
			return fmt.Errorf("docs/configuration.md: %w", err)
		}
		if err := m.write("ftfuse-"+role+".yaml", "5", "File Formats", page); err != nil {
			return err
		}
	}
	return nil
}

// write renders one page, whose text is Markdown.
func (m maker) write(name, section, group, text string) error {
	// %s "..." is the title line that md2man knows: name, section, date, source, manual.
	title := fmt.Sprintf("%s %s %q %q %q\n===\n\n", name, section, m.date.Format("January 2006"), "ftfuse "+m.version, group)
	page := md2man.Render([]byte(title + plain(text)))
	if !bytes.Contains(page, []byte(".SH NAME")) {
		return fmt.Errorf("%s(%s): got no section NAME", name, section)
	}
	return os.WriteFile(filepath.Join(m.out, name+"."+section), page, 0o644)
}

// configuration makes a page of the sections that are about both roles and of the role's own.
func configuration(text, role string) (string, error) {
	parts := strings.Split(text, "\n## ")
	_, intro, _ := strings.Cut(parts[0], "\n")
	var general, keys string
	for _, part := range parts[1:] {
		title, body, _ := strings.Cut(part, "\n")
		switch {
		case title == role+".yaml":
			keys = "# KEYS\n" + strings.ReplaceAll(body, "\n### ", "\n## ")
		case !strings.HasSuffix(title, ".yaml"):
			general += "# " + strings.ToUpper(title) + "\n" + strings.ReplaceAll(body, "\n### ", "\n## ") + "\n"
		}
	}
	if keys == "" || general == "" || intro == "" {
		return "", fmt.Errorf("got no section %s.yaml, or none that is about both roles", role)
	}
	other := map[string]string{"sender": "receiver", "receiver": "sender"}[role]
	if role == "receiver" {
		keys = strings.ReplaceAll(keys, "as above", "as in **ftfuse-sender.yaml**(5)")
	}
	return fmt.Sprintf(`# NAME

ftfuse-%[1]s.yaml - configuration of the ftfuse %[1]s

# DESCRIPTION
%[2]s

%[3]s
%[4]s
# FILES

**/etc/ftfuse/%[1]s.yaml**, **/etc/ftfuse/%[1]s.d/*.yaml**

# SEE ALSO

**ftfuse**(1), **ftfuse-%[5]s.yaml**(5), **mount.ftfuse**(8)

/usr/share/doc/ftfuse
`, role, intro, keys, general, other), nil
}
