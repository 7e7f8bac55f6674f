package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
)

func newCheck(t *terminal) *cobra.Command {
	var role string
	var files []string
	var deny bool
	c := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "find all mistakes in configuration files",
		Long: `Read configuration files with their drop-ins and the environment, and say
everything that is wrong or doubtful. Without FILE: those in /etc/ftfuse.
Exits with 78 when there are errors, and with 1 for warnings when
--deny-warnings is given.`,
		Example: `  ftfuse check
  ftfuse check --deny-warnings ./sender.yaml ./receiver.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := configurations(t, append(files, args...), role)
			if err != nil {
				return err
			}
			return check(t, list, deny)
		},
	}
	roleFlag(c, &role)
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "the same as the argument `FILE`")
	c.Flags().BoolVar(&deny, "deny-warnings", false, "exit with 1 if there are warnings")
	return c
}

func roleFlag(c *cobra.Command, role *string) {
	c.Flags().StringVar(role, "role", "", "`sender` or receiver, where the file does not show it")
}

// configuration is one file to look at, with its role.
type configuration struct {
	role config.Role
	src  config.Sources
}

// configurations finds what is meant: the files, or what the environment names, or what is in /etc/ftfuse.
func configurations(t *terminal, files []string, role string) ([]configuration, error) {
	if role != "" && role != string(config.RoleSender) && role != string(config.RoleReceiver) {
		return nil, usageError{fmt.Errorf("--role: got %q, want sender or receiver", role), "ftfuse check"}
	}
	var list []configuration
	for _, file := range files {
		r := config.Role(role)
		if r == "" {
			var err error
			if r, err = config.Guess(file); err != nil {
				return nil, err
			}
		}
		list = append(list, configuration{r, config.Sources{File: file, Environ: t.environ}})
	}
	if len(files) > 0 {
		return list, nil
	}
	for _, r := range []config.Role{config.RoleSender, config.RoleReceiver} {
		if role != "" && role != string(r) {
			continue
		}
		src, err := config.Locate(r, "", t.environ)
		if err != nil {
			return nil, err
		}
		if src.File == config.DefaultFile(r) && role == "" {
			if _, err := os.Stat(src.File); err != nil {
				continue
			}
		}
		if role == "" && src.File != config.DefaultFile(r) { // FTFUSE_CONFIG is one role's
			return namedByEnvironment(t, src)
		}
		list = append(list, configuration{r, src})
	}
	if len(list) == 0 {
		return nil, exitError{errors.New("no configuration in /etc/ftfuse"), exitConfig,
			"name a file, or begin with `ftfuse config show --defaults --role sender`"}
	}
	return list, nil
}

func namedByEnvironment(t *terminal, src config.Sources) ([]configuration, error) {
	if src.Text != "" {
		return nil, usageError{errors.New("FTFUSE_CONFIG_JSON is set: want --role sender or --role receiver"), "ftfuse check"}
	}
	return configurations(t, []string{src.File}, "")
}

// load reads one configuration.
func (c configuration) load() (*config.Report, error) {
	if c.role == config.RoleReceiver {
		_, report, err := readReceiver(c.src)
		return report, err
	}
	_, report, err := readSender(c.src)
	return report, err
}

func check(t *terminal, list []configuration, deny bool) error {
	failed, doubtful := false, false
	for _, c := range list {
		report, err := c.load()
		if err != nil {
			t.fail(err)
			failed = true
		}
		t.problems(report.Warnings)
		doubtful = doubtful || len(report.Warnings) > 0
		if err == nil {
			fmt.Fprintf(t.out, "%s: %s%s\n", c.name(), verdict(report), dropIns(report))
		}
	}
	switch {
	case failed:
		return fmt.Errorf("%w: %w", config.ErrInvalid, errSaid)
	case doubtful && deny:
		return errSaid
	}
	return nil
}

func verdict(r *config.Report) string {
	switch n := len(r.Warnings); n {
	case 0:
		return "ok"
	case 1:
		return "ok, with a warning"
	default:
		return fmt.Sprintf("ok, with %d warnings", n)
	}
}

func dropIns(r *config.Report) string {
	switch n := len(r.Files) - 1; {
	case n == 1:
		return ", with a drop-in"
	case n > 1:
		return fmt.Sprintf(", with %d drop-ins", n)
	}
	return ""
}
