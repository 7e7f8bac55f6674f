package output

import (
	"fmt"
	"testing"

	"ftfuse/internal/record"
)

// However much one Put brings, for however many files, only so much text is held at once.
func TestTextIsBounded(t *testing.T) {
	for name, x := range map[string]struct{ files, lines int }{"one file": {1, 8192}, "many files": {200, 200}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Format = "json"
			appends := 0
			r.step = func(what string) {
				if what != "intent" {
					return
				}
				appends++
				held := int64(0)
				for _, run := range r.out.batch.runs {
					held += int64(len(run.parts)*pieceLen + cap(run.text))
				}
				if held > maxText+largeText {
					t.Errorf("append %d holds %d bytes of text, want at most %d", appends, held, maxText+largeText)
				}
			}
			r.open()
			var chunks []record.Chunk
			total := 0
			for i := range max(x.files, 16) {
				c := r.chunk(fmt.Sprint("f", i%x.files), lines(x.lines, 128))
				chunks = append(chunks, c)
				total += x.lines
			}
			r.put(chunks...)
			if s := r.out.Stats(); s.Records != int64(total) || appends < 2 {
				t.Fatalf("got %d records in %d appends, want %d in several", s.Records, appends, total)
			}
			if b := &r.out.batch; len(b.runs) != 0 || b.text != 0 {
				t.Fatalf("an idle output holds %d runs and %d bytes of text", len(b.runs), b.text)
			}
		})
	}
}
