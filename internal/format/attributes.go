package format

import "ftfuse/internal/record"

// encoder appends one key and its value.
type encoder interface {
	text(dst []byte, key, v string) []byte
	number(dst []byte, key string, v uint64) []byte
}

// who remembers whose attributes have been rendered: they are the same for a run of chunks.
type who struct {
	source *record.Source
	file   *record.File
	writer *record.Writer

	id     record.SenderID
	sender string // id as text
}

// same reports whether c has the attributes of the call before, and takes note of them. Values that pointers have led
// to never change, and those held here are not the collector's: an address stands for its content.
func (w *who) same(c *record.Chunk) bool {
	if w.source == c.Source && w.file == c.File && w.writer == c.Writer {
		return true
	}
	w.source, w.file, w.writer = c.Source, c.File, c.Writer
	if w.sender == "" || w.id != c.Source.Captor() {
		w.id = c.Source.Captor()
		w.sender = w.id.String()
	}
	return false
}

// attributes appends who wrote what where, the same keys in json, logfmt and msgpack. Keys of what is not known are
// left out.
func (w *who) attributes(e encoder, dst []byte, c *record.Chunk) []byte {
	dst = e.text(dst, "host", c.Source.Host)
	if f := c.File; f != nil {
		dst = e.text(dst, "mount", f.Mount)
		dst = e.text(dst, "path", f.Path)
		dst = e.text(dst, "rule", f.Rule)
		dst = e.text(dst, "record", f.Unit.String())
	}
	if by := c.Writer; by != nil {
		dst = e.text(dst, "writer", by.Kind.String())
		if by.Kind != record.Unknown {
			dst = e.number(dst, "pid", uint64(by.PID))
			dst = e.number(dst, "tid", uint64(by.TID))
			dst = e.number(dst, "uid", uint64(by.UID))
			dst = e.number(dst, "gid", uint64(by.GID))
			dst = e.number(dst, "start", by.Start)
			dst = some(e, dst, "comm", by.Comm)
			dst = some(e, dst, "exe", by.Exe)
			dst = some(e, dst, "unit", by.Unit)
			dst = some(e, dst, "container", by.Container)
		}
	}
	dst = e.text(dst, "sender", w.sender)
	dst = e.number(dst, "epoch", c.Source.Epoch)
	return e.text(dst, "boot_id", c.Source.BootID)
}

func some(e encoder, dst []byte, key, v string) []byte {
	if v == "" {
		return dst
	}
	return e.text(dst, key, v)
}
