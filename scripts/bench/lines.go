package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
)

// digits is how much of a line its number takes at most; scripts/bench/writer.c writes the same lines.
const digits = 12

// lines makes the numbered lines of one size, in pieces of about a megabyte.
type lines struct {
	buf  []byte
	size int
	n    int // digits of a number

	mark, blank string // if mark is not "": what stands behind the number in every hundredth line, and in the others
}

func newLines(size int) *lines {
	l := &lines{size: size, n: min(size-1, digits)}
	l.buf = bytes.Repeat([]byte{'x'}, max(1, (1<<20)/size)*size)
	for at := 0; at < len(l.buf); at += size {
		l.buf[at+size-1] = '\n'
		l.put(at, at/size)
	}
	return l
}

func (l *lines) put(at, number int) {
	for i := l.n - 1; i >= 0; i-- {
		l.buf[at+i] = byte('0' + number%10)
		number /= 10
	}
}

// dress writes line number with what stands behind its number.
func (l *lines) dress(at, number int) {
	l.put(at, number)
	if l.mark == "" {
		return
	}
	text := l.blank
	if number%100 == 0 {
		text = l.mark
	}
	copy(l.buf[at+l.n:at+l.size-1], text)
}

// each calls f with the lines 0 to count-1, in pieces.
func (l *lines) each(count int, f func([]byte) error) error {
	per := len(l.buf) / l.size
	for first := 0; first < count; first += per {
		n := min(per, count-first)
		for i := range n {
			l.dress(i*l.size, first+i)
		}
		if err := f(l.buf[:n*l.size]); err != nil {
			return err
		}
	}
	return nil
}

// source writes a file of numbered lines.
func source(path string, size, count int) error { return newLines(size).save(path, count) }

// save writes a file of so many lines.
func (l *lines) save(path string, count int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = l.each(count, func(p []byte) error {
		_, err := f.Write(p)
		return err
	})
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// verify compares a file with the numbered lines that it must hold, no more and no less.
func verify(path string, size, count int) error { return newLines(size).verify(path, count) }

// verify compares a file with so many lines.
func (l *lines) verify(path string, count int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	got := make([]byte, 1<<20+l.size)
	var at int64
	err = l.each(count, func(want []byte) error {
		p := got[:len(want)]
		if n, err := io.ReadFull(r, p); err != nil {
			return fmt.Errorf("verify %s: got %d bytes, want %d", path, at+int64(n), int64(l.size)*int64(count))
		}
		if !bytes.Equal(p, want) {
			return fmt.Errorf("verify %s: wrong bytes in the megabyte after %d", path, at)
		}
		at += int64(len(want))
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("verify %s: got more than %d bytes", path, at)
	}
	return nil
}
