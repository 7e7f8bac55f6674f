package record

// Durable is how far a destination is known to hold a stream: everything up to Seq, with that chain.
// The zero value means nothing is known.
type Durable struct {
	Stream
	Seq   uint64
	Chain Chain
}

// Add returns d advanced over c, which must be of the same stream and newer than d.Seq.
func (d Durable) Add(c *Chunk) Durable {
	d.Stream = c.Source.Stream
	d.Chain = d.Chain.Next(c.Seq, c.CRC, c.Len)
	d.Seq = c.Seq
	return d
}

// FileKey names a file below a mount across renames.
type FileKey struct {
	Dev, Ino uint64
	Birth    int64 // birth time in ns since 1970 (statx stx_btime), 0 where the file system has none
}
