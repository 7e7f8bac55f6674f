package main

import (
	"context"
	"fmt"
	"strings"
)

// filters measures what filters cost a line: their chain alone, and the stage that reads lines out of a spool and divides them.
func filters(ctx context.Context, o options, t tools, rep *report) error {
	f, err := goBench(ctx, o, t, "internal/refine", "^Benchmark(Filters|Some)$", o.each.String())
	if err != nil {
		return err
	}
	tab := table{
		title: "Filters: a line of 128 bytes",
		head:  []string{"filters", "of them", "chain ns", "stage ns", "x chain", "chain lines/s", "stage lines/s"},
		note: fmt.Sprintf("Medians of %d rounds of %v each, by processor time: lines/s are those of one core. The stage reads a chunk of "+
			"8192 lines out of a file and has the chain look at it. Of hits the last filter denies every line. Goal: 100 "+
			"filters that miss below 300 ns.", o.rounds, o.each),
	}
	row := func(name, what, hits string) error {
		m, err := f.medians("cpu-ns/line", name+"/chain", name+"/stage")
		if err != nil {
			return err
		}
		tab.add(what, hits, number(m[0]), number(m[1]), fmt.Sprintf("%.2f", m[1]/m[0]), number(1e9/m[0]), number(1e9/m[1]))
		return nil
	}
	for _, kind := range []string{"literal", "regex"} {
		for _, hit := range []string{"miss", "hit"} {
			for _, n := range []int{1, 10, 100} {
				hits := map[string]string{"miss": "none holds", "hit": "the last holds"}[hit]
				if err := row(fmt.Sprintf("Filters/%s/%s/%d", kind, hit, n), fmt.Sprintf("%d %s", n, kind), hits); err != nil {
					return err
				}
			}
		}
	}
	for _, s := range [][3]string{
		{"hundredth-denied", "1 literal", "denies 1 % of the lines"},
		{"half-denied", "1 regex", "denies half of them"},
		{"nothing-redacted", "1 redaction (jwt)", "none holds"},
		{"hundredth-redacted", "1 redaction (password)", "changes 1 % of them"},
	} {
		if err := row("Some/"+s[0], s[1], s[2]); err != nil {
			return err
		}
	}
	return rep.add(tab)
}

// formats measures how fast records are rendered.
func formats(ctx context.Context, o options, t tools, rep *report) error {
	f, err := goBench(ctx, o, t, "internal/format", "^BenchmarkFormats$", o.each.String())
	if err != nil {
		return err
	}
	texts := []string{"ascii", "quotes", "utf8"}
	tab := table{
		title: "Formats: lines/s of one core, lines of 128 bytes",
		head:  []string{"format", "plain text", "JSON with quotes", "UTF-8", "x copying"},
		note: fmt.Sprintf("Medians of %d rounds of %v each, by processor time, half of the lines with a time of their own. Copying finds the "+
			"records and copies them; the last column is what one of plain text costs against that. The first template is "+
			"`%%H:%%F(%%P):%%f[%%T] %%L`, the second has named fields, the third two fields of JSON or key=value text. "+
			"Goal: 2,000,000.", o.rounds, o.each),
	}
	var copying float64
	for _, k := range [][2]string{
		{"copy", "copying"}, {"template", "template, letters"}, {"named", "template, names"}, {"field", "template, fields"},
		{"json", "json"}, {"logfmt", "logfmt"}, {"rfc5424", "rfc5424"}, {"msgpack", "msgpack"},
	} {
		var names []string
		for _, text := range texts {
			names = append(names, strings.Join([]string{"Formats", k[0], text}, "/"))
		}
		m, err := f.medians("lines/s-of-cpu", names...)
		if err != nil {
			return err
		}
		if k[0] == "copy" {
			copying = m[0]
		}
		tab.add(k[1], number(m[0]), number(m[1]), number(m[2]), fmt.Sprintf("%.2f", copying/m[0]))
	}
	return rep.add(tab)
}

// pipes measures a plug-in beside plain loops that write into a pipe.
func pipes(ctx context.Context, o options, t tools, rep *report) error {
	f, err := goBench(ctx, o, t, "internal/plugin", "^BenchmarkPipe$", fmt.Sprintf("%dx", o.bytes/4096))
	if err != nil {
		return err
	}
	tab := table{
		title: "A pipe to `cat >/dev/null`, lines of 4 KiB",
		head:  []string{"written by", "GB/s", "x reading and writing"},
		note: fmt.Sprintf("Medians of %d rounds of %d MiB each, by the clock, in turn: all have a pipe of 1 MiB and a file in the page cache. The "+
			"plug-in's row is its whole way: entries, payload read and checked, pipe. Starting the child counts. Goal: 1 GB/s.",
			o.rounds, o.bytes>>20),
	}
	var plain float64
	for _, k := range [][2]string{
		{"plain", "a loop that reads and writes"}, {"write", "a loop that only writes"}, {"cat", "a plug-in"},
		{"ack", "a plug-in in Python that acknowledges each read"},
	} {
		mb, err := f.median("Pipe/"+k[0], "MB/s")
		if err != nil {
			return err
		}
		if k[0] == "plain" {
			plain = mb
		}
		tab.add(k[1], number(mb/1e3), fmt.Sprintf("%.2f", mb/plain))
	}
	return rep.add(tab)
}
