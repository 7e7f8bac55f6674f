package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"ftfuse/internal/config"
	"ftfuse/internal/node"
)

func newTest(t *terminal) *cobra.Command {
	var role, run string
	var files []string
	var verbose bool
	c := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "run the examples that configuration files carry",
		Long: `Run the examples in the section tests of configuration files, like unit tests:
what is written to a file goes in, and each target and output must get what
is listed, byte for byte, and the others nothing. Without FILE: the files in
/etc/ftfuse. Nothing is written, and nothing need run.

Records are assembled, rules chosen and filters applied as a running sender or
receiver does it. Limits and samples take nothing out, texts are compared as
they are before an output's format, and no plug-in is started.

Exits with 1 when an example fails, or --run names none, and with 78 when a
configuration has errors.`,
		Example: `  ftfuse test
  ftfuse test ./sender.yaml --run '^health' -v`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			pattern, err := regexp.Compile(run)
			if err != nil {
				return usageError{fmt.Errorf("--run: got %q, want a regular expression: %w", run, err), "ftfuse test"}
			}
			list, err := configurations(t, append(files, args...), role)
			if err != nil {
				return err
			}
			return test(t, list, pattern, verbose)
		},
	}
	roleFlag(c, &role)
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "the same as the argument `FILE`")
	c.Flags().StringVar(&run, "run", "", "only examples whose names match `REGEX`")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "say of every example what became of its records")
	return c
}

// test runs the examples of all configurations, also behind one that cannot be used.
func test(t *terminal, list []configuration, pattern *regexp.Regexp, verbose bool) error {
	w := bufio.NewWriter(t.out)
	defer w.Flush()
	broken, ran, passed := false, 0, 0
	for _, c := range list {
		results, report, err := c.test(pattern.MatchString)
		if err != nil {
			w.Flush()
			t.fail(err)
			broken = true
			continue
		}
		name := c.name()
		for _, r := range results {
			ran++
			if r.OK {
				passed++
			}
			sayTest(w, &r, report.Problem("tests["+r.Name+"]", "").Origin, verbose)
		}
		if len(results) == 0 && pattern.String() == "" {
			fmt.Fprintf(w, "%s: there are no tests in it\n", name)
		}
	}
	if ran > 0 {
		fmt.Fprintf(w, "%d of %d tests passed\n", passed, ran)
	}
	switch {
	case broken:
		return fmt.Errorf("%w: %w", config.ErrInvalid, errSaid)
	case passed < ran:
		return errSaid
	case ran == 0 && pattern.String() != "":
		return exitError{fmt.Errorf("--run: no test has a name that matches %q", pattern), exitFailed, "without --run all of them run"}
	}
	return nil
}

// test runs one configuration's examples.
func (c configuration) test(wanted func(string) bool) ([]node.TestResult, *config.Report, error) {
	if c.role == config.RoleReceiver {
		cfg, report, err := readReceiver(c.src)
		if err != nil {
			return nil, report, err
		}
		results, err := node.RunReceiverTests(cfg, wanted)
		return results, report, err
	}
	cfg, report, err := readSender(c.src)
	if err != nil {
		return nil, report, err
	}
	results, err := node.RunSenderTests(cfg, wanted)
	return results, report, err
}

// sayTest prints one line for an example, and what was wrong with it.
func sayTest(w io.Writer, r *node.TestResult, at config.Origin, verbose bool) {
	if r.OK {
		fmt.Fprintf(w, "ok    %s\n", r.Name)
	} else {
		fmt.Fprintf(w, "FAIL  %s (%s)\n", r.Name, at)
	}
	if r.OK && !verbose {
		return
	}
	sent := ""
	if r.Stored {
		sent = "; it stores the file and sends nothing"
	}
	if r.WantRule != "" && r.WantRule != r.Rule {
		sent += "; want rule " + r.WantRule
	}
	fmt.Fprintf(w, "  %s%s\n", r.Why, sent)
	for _, to := range r.Targets {
		if !to.OK() {
			fmt.Fprintf(w, "  %s (- expected, + got):\n", to.Name)
			for _, line := range difference(to.Want, to.Got) {
				fmt.Fprintln(w, strings.TrimRight("    "+line, " "))
			}
		}
	}
	if len(r.Records) > 0 {
		fmt.Fprintln(w, "  records:")
	}
	for i := range r.Records {
		sayRecord(w, &r.Records[i])
	}
}

// sayRecord prints a record, and below it what became of it.
func sayRecord(w io.Writer, r *node.TestRecord) {
	if r.Text == "" { // a gap
		fmt.Fprintf(w, "    %s: %s\n", r.By, r.Action)
		return
	}
	fmt.Fprintf(w, "    %s\n", displayRecord(r, r.Text))
	to := ""
	if len(r.Targets) > 0 {
		to = ", to " + strings.Join(r.Targets, ", ")
	}
	fmt.Fprintf(w, "      %s: %s%s\n", r.By, r.Action, to)
	if r.Became != r.Text && len(r.Targets) > 0 {
		fmt.Fprintf(w, "      as %s\n", displayRecord(r, r.Became))
	}
}

// displayRecord shows a record in one line, or a piece of one.
func displayRecord(r *node.TestRecord, text string) string {
	switch {
	case r.Continued:
		text = safe([]byte(text)) + "…"
	case text == "\n" && !r.Continues:
		return "(an empty line)"
	default:
		text = display(text)
	}
	if r.Continues {
		text = "…" + text
	}
	return text
}

// name is how messages call a configuration.
func (c configuration) name() string {
	if c.src.File == "" {
		return "FTFUSE_CONFIG_JSON"
	}
	return c.src.File
}
