package output

import (
	"sync"

	"ftfuse/internal/format"
	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// Text is rendered into pieces of one size. A buffer that grows with the text would leave its former selves to the collector, and
// each file of each output would keep one as large as its largest append.
const (
	pieceLen = spillText + 16<<10 // room for the record that fills a piece
	keepText = 8 << 10            // a buffer of a run that renders to little, which it keeps
	maxText  = 6 << 20            // buffers of one append; its last chunk may bring largeText more
)

// pieces are shared by all outputs. What no append uses is the collector's to take.
var pieces = sync.Pool{New: func() any { return new([pieceLen]byte) }}

func newPiece() []byte { return pieces.Get().(*[pieceLen]byte)[:0] }

func freePiece(p []byte) {
	if cap(p) == pieceLen {
		pieces.Put((*[pieceLen]byte)(p[:pieceLen]))
	}
}

// render appends the text of c, which is about n bytes.
func (r *run) render(form format.Format, c *record.Chunk, n int64) {
	if int64(len(r.text))+n > keepText && cap(r.text) <= keepText {
		r.text = append(newPiece(), r.text...)
	}
	r.text = form.Append(r.text, c, func(p []byte) []byte {
		if len(p) < spillText {
			return p
		}
		r.parts = append(r.parts, p)
		r.full += int64(len(p))
		return newPiece()
	})
	r.Len = r.full + int64(len(r.text))
}

// held is how many bytes of buffers r has.
func (r *run) held() int64 { return int64(len(r.parts)*pieceLen + cap(r.text)) }

// clear makes r ready for another file.
func (r *run) clear(raw bool) {
	if !raw {
		for _, p := range r.parts {
			freePiece(p)
		}
	}
	if cap(r.text) > keepText {
		freePiece(r.text)
		r.text = nil
	}
	clear(r.parts)
	*r = run{parts: r.parts[:0], text: r.text[:0], Run: ledger.Run{Sums: r.Sums[:0]}}
}
