package node

import (
	"log/slog"
	"os"

	"ftfuse/internal/config"
	"ftfuse/internal/ledger"
	"ftfuse/internal/output"
	"ftfuse/internal/pulse"
	"ftfuse/internal/record"
)

// outputParts is what an output needs besides its configuration.
type outputParts struct {
	book   *ledger.Book
	log    *slog.Logger
	pulses *pulse.Group                      // nil: nobody watches it
	view   func(*record.Chunk) *record.Chunk // what rules leave of a chunk for this output; nil: all
	files  int                               // kept open; 0: the output's own default
}

// openOutput opens an output to files or to the journal.
func openOutput(c config.Output, p outputParts) (sink, error) {
	if c.Type == "journal" {
		return output.OpenJournal(output.JournalOptions{Name: c.Name, Identifier: c.Identifier, Book: p.book, Pulses: p.pulses, View: p.view}), nil
	}
	o, err := OutputOptions(c)
	if err != nil {
		return nil, err
	}
	o.Book, o.Logger, o.Pulses, o.View, o.MaxOpen = p.book, p.log, p.pulses, p.view, p.files
	return output.Open(o)
}

// OutputOptions are those of an output to files as the configuration has them.
func OutputOptions(c config.Output) (output.Options, error) {
	zone, err := config.Zone(c.TimeZone)
	return output.Options{
		Name: c.Name, Base: c.Base, Path: c.Path, Format: c.Format, Template: c.Template, TimeFormat: c.TimeFormat, Location: zone,
		Rotate:   output.Rotate{Size: int64(c.Rotate.Size), Age: c.Rotate.Age, Keep: c.Rotate.Keep, KeepAge: c.Rotate.KeepAge, Compress: c.Rotate.Compress},
		FileMode: os.FileMode(c.FileMode), DirMode: os.FileMode(c.DirMode), Disk: c.Durability == "disk",
	}, err
}
