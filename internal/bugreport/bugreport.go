// Package bugreport packs what a maintainer needs to know of a machine into an archive, without secrets and without
// anything that was captured.
package bugreport

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	partLimit   = 8 << 20 // bytes of one part; what is more is cut off, and that is said
	partTimeout = 20 * time.Second
)

// Part is one file of the archive.
type Part struct {
	Name string // of the file
	What string // in it, in one line
	// Get may return a text and an error: both are kept.
	Get func(context.Context) ([]byte, error)
}

// Entry says what became of a part.
type Entry struct {
	Name, What string
	Size       int    // bytes; 0: it is not in the archive
	Missing    string // why it could not be had, or not all of it; "": it is whole
}

// Write gets the parts one after the other, scrubs them, and writes the archive: a folder called name, as tar.gz, with
// a README that lists what is in it and what is not. Only an archive that cannot be written is an error.
func Write(ctx context.Context, w io.Writer, name string, at time.Time, parts []Part) ([]Entry, error) {
	return write(ctx, w, name, at, parts, partLimit)
}

// write is Write with limit bytes for each part.
func write(ctx context.Context, w io.Writer, name string, at time.Time, parts []Part, limit int) ([]Entry, error) {
	entries := make([]Entry, len(parts))
	texts := make([][]byte, len(parts))
	for i, p := range parts {
		entries[i], texts[i] = get(ctx, p, limit)
	}
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	add := func(file string, text []byte) error {
		h := tar.Header{Typeflag: tar.TypeReg, Name: name + "/" + file, Mode: 0o600, Size: int64(len(text)), ModTime: at.Truncate(time.Second)}
		if err := out.WriteHeader(&h); err != nil {
			return err
		}
		_, err := out.Write(text)
		return err
	}
	err := add("README", readme(name, at, entries))
	for i, e := range entries {
		if err == nil && e.Size > 0 {
			err = add(e.Name, texts[i])
		}
	}
	if err = errors.Join(err, out.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("write bug report: %w", err)
	}
	return entries, nil
}

func get(ctx context.Context, p Part, limit int) (Entry, []byte) {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	e := Entry{Name: p.Name, What: p.What}
	text, err := p.Get(ctx)
	var why []string
	if err != nil {
		why = append(why, err.Error())
	}
	if len(text) > limit { // at a line's end, so that no half secret is left
		text = text[:limit]
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		why = append(why, fmt.Sprintf("cut off after %d bytes", len(text)))
	}
	if err == nil && len(text) == 0 {
		why = append(why, "there is nothing")
	}
	e.Missing = strings.ReplaceAll(string(Scrub([]byte(strings.Join(why, "; ")))), "\n", "; ")
	text = Scrub(text)
	e.Size = len(text)
	return e, text
}

func readme(name string, at time.Time, entries []Entry) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `%s
made %s by ftfuse bugreport

Values of settings that are called password, token, key and the like, certificates, and passwords in addresses have
been taken out, wherever they stood. Nothing that was captured is in here. Names of this machine's hosts, users, files and
folders are: look through it before you send it.

`, name, at.UTC().Format(time.RFC3339))
	for _, e := range entries {
		if e.Size > 0 {
			fmt.Fprintf(&b, "%-24s %s\n", e.Name, e.What)
		}
	}
	missing := false
	for _, e := range entries {
		if e.Missing == "" {
			continue
		}
		if !missing {
			b.WriteString("\nwhat could not be had, or not all of it:\n\n")
			missing = true
		}
		fmt.Fprintf(&b, "%-24s %s\n", e.Name, e.Missing)
	}
	return b.Bytes()
}
