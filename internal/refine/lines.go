package refine

import (
	"bytes"

	"ftfuse/internal/filter"
	"ftfuse/internal/format"
	"ftfuse/internal/record"
)

const (
	// stride is how many bytes are asked about at once: few enough to stay in the first-level cache.
	stride = 8 << 10
	// poor is how many bytes must be of no interest, or asking was hardly worth it.
	poor = 512
	// maxPause bounds how many lines are looked at one by one before a chain that finds something in most is asked again.
	maxPause = 63
)

// asker finds runs of lines that no filter is of interest for.
type asker struct {
	pause int // lines to go one by one after the next time that asking is not worth it
	wait  int // and that are to go so now
}

// run returns the length of the run of whole lines at the beginning of data that all have the chain's default verdict. 0 says
// nothing of the first line.
func (a *asker) run(chain *filter.Chain, data []byte, s *filter.Scratch) int {
	if a.wait > 0 {
		a.wait--
		return 0
	}
	data = data[:min(len(data), stride)]
	n := bytes.LastIndexByte(data[:chain.Skip(data, s)], '\n') + 1
	if n >= poor {
		a.pause = 0
	} else {
		a.wait, a.pause = a.pause, min(2*a.pause+1, maxPause)
	}
	return n
}

// each calls one for every record of c, as format.EachRecord does. Where filters alone decide it calls many instead for runs
// of whole lines, from..to, that all have the chain's default verdict; never for a line that is or may be a piece.
func (k *cutter) each(c *record.Chunk, chain *filter.Chain, alone bool, one func(rec []byte, off int, at int64), many func(from, to int)) {
	if c.File == nil || c.File.Unit != record.Line || !alone {
		format.EachRecord(c, one)
		return
	}
	k.ask = asker{}
	whole := len(c.Data) // where a run must end
	if c.Flags&record.Continued != 0 {
		whole--
	}
	at, mark, marked := c.Time, 0, 0 // marked: where the mark that at comes from ends
	for off := 0; off < len(c.Data); {
		if off > 0 || c.Flags&record.Continues == 0 {
			if n := k.ask.run(chain, c.Data[off:max(off, whole)], &k.scratch); n > 0 {
				many(off, off+n)
				off += n
				continue
			}
		}
		end := len(c.Data)
		if i := bytes.IndexByte(c.Data[off:], '\n'); i >= 0 {
			end = off + i + 1
		}
		for mark < len(c.Marks) && marked < end {
			at = c.Time + c.Marks[mark].Delta
			marked += int(c.Marks[mark].Len)
			mark++
		}
		one(c.Data[off:end], off, at)
		off = end
	}
}

// same returns the part of a run of whole lines with one verdict.
func same(v filter.Verdict, data []byte, from, to int) part {
	p := part{from: from, to: to, ends: uint32(bytes.Count(data[from:to], newline))}
	if p.targets = v.Targets; !v.Keep {
		p.fate = cut
	}
	return p
}

var newline = []byte{'\n'}
