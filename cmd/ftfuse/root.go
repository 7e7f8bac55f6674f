package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const rootLong = `ftfuse moves what programs write to files to where it is wanted, without
changing the programs. A sender mounts a directory, captures what is appended
to its files, and delivers it to receivers, which write files.`

const rootExample = `  ftfuse check && systemctl restart ftfuse-sender
  ftfuse explain /var/log/ftfuse/nginx/access.log`

func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:           "ftfuse",
		Short:         "capture what programs write to files, and deliver it",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true, // run says them, in our voice
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return usageError{unknownCommand(c, args[0]), c.CommandPath()}
		},
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Version, _ = built()
	root.SetVersionTemplate("ftfuse {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{flagError(err), c.CommandPath()} })
	root.SetHelpTemplate(helpTemplate)
	root.SetHelpCommand(newHelp(root))
	root.AddCommand(
		newSender(t), newReceiver(t), newCheck(t), newTest(t), newConfig(t), newExplain(t), newStatus(t), newTop(t), newTap(t), newPing(t), newSend(t),
		newReceive(t), newReload(t), newQueue(t), newCerts(t), newImport(t), newMountUnit(t),
		newBugreport(t), newVersion(t),
	)
	root.AddCommand(newManual(t, root))
	strictArgs(root)
	return root
}

// newHelp is for those who type `ftfuse help status`.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil {
				return usageError{err, root.CommandPath()}
			}
			if len(rest) > 0 {
				return usageError{unknownCommand(c, rest[0]), c.CommandPath()}
			}
			return c.Help()
		},
	}
}

// strictArgs makes complaints about arguments usage errors, here and below, and keeps usage lines to what was written.
func strictArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err, c.CommandPath()}
			}
			return nil
		}
	}
	c.DisableFlagsInUseLine = true
	for _, inner := range c.Commands() {
		strictArgs(inner)
	}
}

// family makes a command that only has commands below it.
func family(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("%s: got no command, want one of its own", c.CommandPath()), c.CommandPath()}
		}
		return usageError{unknownCommand(c, args[0]), c.CommandPath()}
	}
	c.AddCommand(members...)
	return c
}

func unknownCommand(c *cobra.Command, word string) error {
	text := fmt.Sprintf("unknown command %q for %s", word, c.CommandPath())
	c.SuggestionsMinimumDistance = 2
	if s := c.SuggestionsFor(word); len(s) > 0 {
		text += ", did you mean " + strings.Join(s, " or ") + "?"
	}
	return fmt.Errorf("%s", text)
}

// flagError says what a flag takes, where the library says which function of Go did not like the value.
func flagError(err error) error {
	var value *pflag.InvalidValueError
	if !errors.As(err, &value) {
		return err
	}
	want, ok := map[string]string{"int": "a number", "int64": "a number", "uint32": "a number, 0 or more", "uint64": "a number, 0 or more",
		"duration": "a duration, as in 500ms, 5s or 2h"}[value.GetFlag().Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s: got %q, want %s", value.GetFlag().Name, value.GetValue(), want)
}

// arguments wants between least and most arguments, which the help calls what.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		if most == 0 {
			return fmt.Errorf("got argument %q, want none", args[0])
		}
		return fmt.Errorf("got %d arguments, want %s", len(args), what)
	}
}

var helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}usage: {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasExample}}
examples:
{{.Example}}
{{end}}{{if .HasParent}}
options:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{if .HasAvailableInheritedFlags}}
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
{{else}}
` + "`ftfuse COMMAND --help` says more." + `
` + exitTable() + `{{end}}`
