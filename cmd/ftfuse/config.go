package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
)

func newConfig(t *terminal) *cobra.Command {
	return family(&cobra.Command{
		Use:     "config",
		Short:   "show the configuration that holds",
		Example: "  ftfuse config show",
	}, newConfigShow(t))
}

func newConfigShow(t *terminal) *cobra.Command {
	var role, file string
	var defaults bool
	c := &cobra.Command{
		Use:   "show [FILE]",
		Short: "print the merged configuration, and where each value comes from",
		Long: `Print the configuration as it holds after defaults, file, drop-ins and
environment, with the origin of every value beside it. The output is a valid
configuration file.`,
		Example: `  ftfuse config show --role sender
  ftfuse config show ./receiver.yaml
  ftfuse config show --defaults --role sender >sender.yaml`,
		Args: arguments(0, 1, "at most one FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if file != "" {
				args = append(args, file)
			}
			list, err := toShow(t, args, role, defaults)
			if err != nil {
				return err
			}
			for i, one := range list {
				report, err := one.load()
				if err != nil {
					return err
				}
				if len(list) > 1 {
					fmt.Fprintf(t.out, "%s# %s\n", map[bool]string{true: "\n"}[i > 0], one.src.File)
				}
				if err := report.Show(t.out, !defaults); err != nil {
					return err
				}
			}
			return nil
		},
	}
	roleFlag(c, &role)
	c.Flags().StringVarP(&file, "config", "c", "", "the same as the argument `FILE`")
	c.Flags().BoolVar(&defaults, "defaults", false, "show the defaults alone")
	return c
}

func toShow(t *terminal, args []string, role string, defaults bool) ([]configuration, error) {
	if !defaults {
		return configurations(t, args, role)
	}
	if len(args) > 0 || role != string(config.RoleSender) && role != string(config.RoleReceiver) {
		return nil, usageError{fmt.Errorf("--defaults: want --role sender or --role receiver, and no FILE"), "ftfuse config show"}
	}
	return []configuration{{role: config.Role(role)}}, nil
}
