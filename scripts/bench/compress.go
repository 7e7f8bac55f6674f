package main

import (
	"context"
	"fmt"
)

// compression measures what each codec and level costs and saves.
func compression(ctx context.Context, o options, t tools, rep *report) error {
	f, err := goBench(ctx, o, t, "internal/wire", "^BenchmarkCompress$", o.each.String())
	if err != nil {
		return err
	}
	tab := table{
		title: "Compression: access log, batches of a megabyte",
		head:  []string{"compression", "level", "ratio", "sender, CPU seconds a GB", "receiver, CPU seconds a GB", "sender, MB/s of one core"},
		note: fmt.Sprintf("Medians of %d rounds of %v each, by processor time. A GB is of what was written, before compression; each batch is "+
			"compressed by itself. The rows without compression are the copying and checking that every batch costs.", o.rounds, o.each),
	}
	for _, k := range [][3]string{
		{"none", "none", ""}, {"s2", "s2", ""}, {"zstd-1", "zstd", "1"}, {"zstd-3", "zstd", "3"}, {"zstd-7", "zstd", "7"}, {"zstd-12", "zstd", "12"},
	} {
		ratio, err := f.median("Compress/"+k[0]+"/pack", "ratio")
		if err != nil {
			return err
		}
		cpu, err := f.medians("cpu-s/GB", "Compress/"+k[0]+"/pack", "Compress/"+k[0]+"/unpack")
		if err != nil {
			return err
		}
		tab.add(k[1], k[2], fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.2f", cpu[0]), fmt.Sprintf("%.2f", cpu[1]), number(1000/cpu[0]))
	}
	return rep.add(tab)
}
