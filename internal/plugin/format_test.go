package plugin

import (
	"bytes"
	"fmt"
	"testing"

	"ftfuse/internal/record"
)

// framing is a format whose records have a line around each, or objects of a byte for the length and no lines.
type framing struct{ objects bool }

func (f framing) Append(dst []byte, c *record.Chunk, spill func([]byte) []byte) []byte {
	if c.Gap != nil {
		return append(dst, "gap\n"...)
	}
	for data := c.Data; len(data) > 0; {
		n := bytes.IndexByte(data, '\n') + 1
		if n == 0 {
			n = len(data)
		}
		dst = spill(dst)
		if f.objects {
			dst = append(append(dst, byte(n)), data[:n]...)
		} else {
			dst = fmt.Appendf(dst, "%s %d %s\n", c.File.Path, n, bytes.TrimSuffix(data[:n], lineEnd))
		}
		data = data[n:]
	}
	return dst
}

// takeLines reads so many lines or objects, appends them to got, says so, and dies.
const takeLines = `
import os, sys
f, n, objects, acks = sys.stdin.buffer, 0, %d, os.environ.get("FTFUSE_ACK")
with open("got", "ab") as out:
    while n < %d:
        if objects:
            size = f.read(1)
            if not size: break
            line = f.read(size[0])
        else:
            line = f.readline()
            if not line: break
        out.write(line)
        n += 1
if acks and n:
    os.write(3, b"%%d\n" %% n)
sys.exit(n == %d)
`

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A child that dies again and again, at the same record or in the middle of a chunk, is given the next one next time, whatever the format.
func TestGoesOnWithinChunks(t *testing.T) {
	for _, each := range []int{1, 100, 3000} {
		for _, render := range []Renderer{nil, framing{}, framing{objects: true}} {
			t.Run(fmt.Sprintf("%d/%v", each, render), func(t *testing.T) {
				r := newRig(t)
				r.Ack, r.Render = true, render
				f, _ := render.(framing)
				r.Objects = f.objects
				r.Command = []string{"/usr/bin/python3", "-c", fmt.Sprintf(takeLines, boolInt(f.objects), 375, 375)}
				r.number(3000, each, 20)
				p := r.start()
				until(t, "all is done", func() bool { return r.drained("out") })
				p.end()
				text := r.read("got")
				if render != nil && !f.objects {
					text = string(bytes.ReplaceAll([]byte(text), []byte("a.log 21 "), nil))
				}
				got, torn := numbers(text)
				if once(t, got, r.lines); len(torn) > 0 {
					t.Errorf("torn: %.3q", torn)
				}
				if s := p.Stats(); s.Restarts < 6 {
					t.Errorf("got %+v: it has not died", s)
				}
			})
		}
	}
}

// Without acknowledgements a format goes on with the first record that was not read as a whole.
func TestFormatComesAgain(t *testing.T) {
	r := newRig(t)
	r.Render = framing{}
	// Half of what there is, by the byte, so that it ends within a record and a chunk.
	r.sh(`if mkdir first; then head -c 100001 >got; exit 1; fi; exec cat >later`)
	r.number(20_000, 4000, 20)
	p := r.start()
	until(t, "all came", func() bool { return r.drained("out") })
	p.end()
	first, later := r.read("got"), r.read("later")
	whole := first[:bytes.LastIndexByte([]byte(first), '\n')+1]
	got, torn := numbers(string(bytes.ReplaceAll([]byte(whole+later), []byte("a.log 21 "), nil)))
	if once(t, got, r.lines); len(torn) > 0 {
		t.Errorf("torn: %.3q", torn)
	}
}

// A chunk that renders to far more than a piece goes through the same buffers.
func TestExpands(t *testing.T) {
	r := newRig(t)
	r.Render = framing{}
	r.append(bytes.Repeat(lineEnd, 1<<18))
	r.sh("wc -l >got")
	p := r.start()
	until(t, "all came", func() bool { return r.drained("out") })
	p.end()
	if got := r.read("got"); got != fmt.Sprintln(1<<18) {
		t.Errorf("got %q lines", got)
	}
}

// Lines that end in a later chunk are done when that is.
func TestLineOverChunks(t *testing.T) {
	r := newRig(t)
	r.Ack = true
	r.sh(`test -e first && { cat >got; echo 1 >&3; exit; }; touch first; head -n 1 >head; echo 1 >&3; exec sleep 1000`)
	r.append([]byte("one\ntw"))
	p := r.start()
	until(t, "it has one", func() bool { return r.read("head") == "one\n" && p.Stats().Acks == 1 })
	if r.drained("out") {
		t.Error("the second line is not done")
	}
	r.append([]byte("o\n"))
	must(t, killPID(p.Stats().PID))
	until(t, "it was started again", func() bool { return p.Stats().Starts == 2 && r.read("first") == "" && p.Stats().InFlight >= 4 })
	p.end()
	if got := r.read("got"); got != "two\n" || !r.drained("out") {
		t.Errorf("got %q", got)
	}
}
