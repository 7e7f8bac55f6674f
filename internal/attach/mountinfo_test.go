package attach

import (
	"slices"
	"testing"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{`a\040b`: "a b", `\134`: `\`, `x\`: `x\`, `\777`: `\777`, `\011\012`: "\t\n"} {
		if got := unescape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParseMount(t *testing.T) {
	for line, want := range map[string]Mount{
		`36 35 0:52 / /a\040b rw,nosuid shared:1 master:2 - fuse.ftfuse app rw,user_id=0,allow_other`: {
			"/a b", "/", FSType, "app", []string{"rw", "nosuid"}, []string{"rw", "user_id=0", "allow_other"}, 52},
		`22 1 8:1 / / rw - ext4 /dev/sda1 rw`:       {"/", "/", "ext4", "/dev/sda1", []string{"rw"}, []string{"rw"}, 1},
		`22 1 0:9 / /x ro - tmpfs  rw`:              {"/x", "/", "tmpfs", "", []string{"ro"}, []string{"rw"}, 9},
		`22 1 0:9 /sub /x\134 ro - fuse.ftfuse - -`: {`/x\`, "/sub", FSType, "-", []string{"ro"}, []string{"-"}, 9},
	} {
		got, ok := parseMount(line)
		if !ok || got.Path != want.Path || got.Root != want.Root || got.FSType != want.FSType || got.Source != want.Source ||
			got.minor != want.minor || !slices.Equal(got.Options, want.Options) || !slices.Equal(got.Super, want.Super) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", " - ", "1 2 3", "1 2 0:x / / rw - ext4 a b", "1 2 0:3 / / - ext4 a b", "1 2 0:3 / / rw - "} {
		if m, ok := parseMount(line); ok {
			t.Errorf("%q: got %+v", line, m)
		}
	}
}

func FuzzParseMount(f *testing.F) {
	f.Add(`36 35 0:52 / /a\040b rw,nosuid shared:1 master:2 - fuse.ftfuse app rw,user_id=0,allow_other`)
	f.Add(`22 1 0:9 /sub /x\134 ro - tmpfs  rw`)
	f.Add("1 2 0:3 / / - ext4 a b")
	f.Fuzz(func(t *testing.T, line string) {
		m, ok := parseMount(line)
		switch {
		case ok && (m.Path == "" || m.FSType == "" || len(m.Options) == 0 || len(m.Super) == 0):
			t.Errorf("%q: got a mount that lacks something: %+v", line, m)
		case !ok && (m.Path != "" || m.FSType != "" || m.Options != nil):
			t.Errorf("%q: got %+v of a line that is none", line, m)
		}
	})
}
