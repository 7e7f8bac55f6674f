package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/systemd"
)

// mountOptions are those of the unit and of the line in fstab. _netdev: the mount needs no network, but orders itself
// with remote file systems, after the sockets; with local ones it would have to come before them.
func mountOptions(m *config.Mount) string {
	const options = "nodev,nosuid,noexec,_netdev"
	if m.AllowOther {
		return options
	}
	return options + ",owner_only"
}

func newMountUnit(t *terminal) *cobra.Command {
	var file, dir string
	var fstab bool
	c := &cobra.Command{
		Use:   "mount-unit [--fstab | --write DIR] NAME",
		Short: "print the systemd unit of a mount",
		Long: `Print the .mount unit for the mount NAME of the configuration: with it the
mount comes at boot, after the sender's sockets and before the services that
say RequiresMountsFor= of its directory. With --fstab, print a line for
/etc/fstab that does the same.`,
		Example: `  ftfuse mount-unit --write /etc/systemd/system log
  systemctl daemon-reload
  systemctl enable --now var-log-ftfuse.mount`,
		Args: arguments(1, 1, "one NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			if fstab && dir != "" {
				return usageError{errors.New("got --fstab and --write, want one of them"), "ftfuse mount-unit"}
			}
			cfg, _, err := loadSender(t, file)
			if err != nil {
				return err
			}
			m, err := findMount(cfg, args[0])
			if err != nil {
				return err
			}
			unit, err := systemd.MountUnit(m.Path)
			switch {
			case err != nil:
				return err
			case fstab:
				_, err = fmt.Fprint(t.out, fstabLine(m))
			case dir != "":
				return writeUnit(t, filepath.Join(dir, unit), mountUnit(m, unit, dir))
			default:
				_, err = fmt.Fprint(t.out, mountUnit(m, unit, "/etc/systemd/system"))
			}
			return err
		},
	}
	configFlag(c, &file, config.RoleSender)
	c.Flags().BoolVar(&fstab, "fstab", false, "print a line for /etc/fstab instead")
	c.Flags().StringVar(&dir, "write", "", "write the unit into `DIR`, if it is not there yet")
	return c
}

func findMount(cfg *config.Sender, name string) (*config.Mount, error) {
	i := slices.IndexFunc(cfg.Mounts, func(m config.Mount) bool { return m.Name == name })
	if i >= 0 {
		return &cfg.Mounts[i], nil
	}
	names := make([]string, len(cfg.Mounts))
	for i, m := range cfg.Mounts {
		names[i] = m.Name
	}
	return nil, exitError{fmt.Errorf("mount-unit: got mount %q, want one of: %s", name, strings.Join(names, ", ")), exitFailed,
		"`ftfuse config show --role sender` shows them all"}
}

// mountUnit is the unit's text. Values are taken as they are but for %, which begins a specifier (systemd.unit(5)).
func mountUnit(m *config.Mount, unit, dir string) string {
	path := strings.ReplaceAll(m.Path, "%", "%%")
	return fmt.Sprintf(`# The mount %[1]s of sender.yaml. In %[4]s it is enabled by:
#   systemctl daemon-reload && systemctl enable --now %[3]s
# Services that write there should say %[5]s.
# They start after the mount then, and stop before it.
[Unit]
Description=ftfuse mount %[1]s
Documentation=man:mount.ftfuse(8) man:ftfuse-sender.yaml(5)
Requires=ftfuse-sender.socket
After=ftfuse-sender.socket ftfuse-sender.service

[Mount]
What=%[1]s
Where=%[2]s
Type=fuse.ftfuse
Options=%[6]s

[Install]
WantedBy=remote-fs.target
`, m.Name, path, shellQuoted(unit), dir, unitQuoted("RequiresMountsFor="+path), mountOptions(m))
}

// fstabLine is a line of fstab(5), where blanks and the like are octal.
func fstabLine(m *config.Mount) string {
	path := strings.NewReplacer(`\`, `\134`, " ", `\040`, "#", `\043`).Replace(m.Path)
	return fmt.Sprintf("%s %s fuse.ftfuse %s,nofail,x-systemd.requires=ftfuse-sender.socket,x-systemd.after=ftfuse-sender.service 0 0\n",
		m.Name, path, mountOptions(m))
}

// shellQuoted quotes a word where a shell would take it for something else.
func shellQuoted(word string) string {
	if strings.ContainsAny(word, `\ '"$&;()<>|*?[]#~%`) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// unitQuoted quotes an assignment whose value systemd splits into words.
func unitQuoted(assignment string) string {
	key, value, _ := strings.Cut(assignment, "=")
	if strings.ContainsAny(value, ` \'"`) {
		value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	return key + "=" + value
}

func writeUnit(t *terminal, path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return exitError{fmt.Errorf("write unit: %s is there already", path), exitFailed, "remove it first, or print the unit and compare"}
	}
	if err != nil {
		return fmt.Errorf("write unit: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write unit: %w", err)
	}
	fmt.Fprintln(t.out, path)
	fmt.Fprintln(t.err, "hint: systemctl daemon-reload && systemctl enable --now", shellQuoted(filepath.Base(path)))
	return nil
}
