package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ftfuse/internal/config"
)

// newManual prints what the help says, all of it, for the manual page.
func newManual(t *terminal, root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "manual",
		Hidden: true,
		Args:   arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(t.out, manual(root))
			return err
		},
	}
}

// manual is the page ftfuse(1) in Markdown, without the title line.
func manual(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n\nftfuse - %s\n\n# SYNOPSIS\n\n**ftfuse** *COMMAND* [*OPTION*...] [*ARGUMENT*...]\n\n", root.Short)
	fmt.Fprintf(&b, "# DESCRIPTION\n\n%s\n\n", root.Long)
	example(&b, root)
	b.WriteString("# COMMANDS\n\n")
	leaves(&b, root)
	b.WriteString("# EXIT STATUS\n\n")
	for _, e := range exitCodes {
		define(&b, fmt.Sprint("**", e.code, "**"), e.text)
	}
	b.WriteString("# ENVIRONMENT\n\n")
	define(&b, "**FTFUSE_CONFIG**", "The configuration file, where no --config names one.")
	define(&b, "**FTFUSE_CONFIG_JSON**", "The text of the configuration itself, JSON or YAML.")
	define(&b, "**FTFUSE_**_SECTION_**_**_KEY_", "One value of the configuration.")
	define(&b, "**NO_COLOR**", "If set, nothing is coloured.")
	b.WriteString("# FILES\n\n")
	for _, role := range []config.Role{config.RoleSender, config.RoleReceiver} {
		file := config.DefaultFile(role)
		define(&b, "**"+file+"**, **"+strings.TrimSuffix(file, ".yaml")+".d/*.yaml**", "Configuration of the "+string(role)+", and drop-ins.")
	}
	sender, receiver := config.DefaultSender(), config.DefaultReceiver()
	define(&b, "**"+sender.StateDir+"**", "What the sender has captured and not delivered yet, and how far it is.")
	define(&b, "**"+receiver.StateDir+"**", "What the receiver has received, from whom.")
	define(&b, "**"+sender.Control.Socket+"**, **"+receiver.Control.Socket+"**", "Where the running ones are asked.")
	b.WriteString("# SEE ALSO\n\n**ftfuse-sender.yaml**(5), **ftfuse-receiver.yaml**(5), **mount.ftfuse**(8)\n\n/usr/share/doc/ftfuse\n")
	return b.String()
}

// leaves writes every command below c that does something.
func leaves(b *strings.Builder, c *cobra.Command) {
	for _, c := range c.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		if c.HasAvailableSubCommands() {
			leaves(b, c)
			continue
		}
		text := c.Long
		if text == "" {
			text = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
		}
		fmt.Fprintf(b, "## %s\n\n%s\n\n", c.UseLine(), text)
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { option(b, f) })
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) { option(b, f) })
		example(b, c)
	}
}

func option(b *strings.Builder, f *pflag.Flag) {
	if f.Name == "help" || f.Hidden {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	term := "**--" + f.Name + "**"
	if f.Shorthand != "" {
		term = "**-" + f.Shorthand + "**, " + term
	}
	if value != "" {
		term += " *" + value + "*"
	}
	define(b, term, strings.ToUpper(usage[:1])+usage[1:]+".")
}

func define(b *strings.Builder, term, text string) { fmt.Fprintf(b, "%s\n:   %s\n\n", term, text) }

func example(b *strings.Builder, c *cobra.Command) {
	if c.Example == "" {
		return
	}
	b.WriteString("Examples:\n\n```\n")
	for line := range strings.Lines(c.Example) {
		b.WriteString(strings.TrimPrefix(line, "  "))
	}
	b.WriteString("\n```\n\n")
}
