package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// AtLeastOnce makes a Store of a function for programs that keep no marks of their own. deliver is called as Store.Put
// is. The marks are in file, which is replaced whenever deliver has returned nil: a program that is killed
// between the two gets that batch again. With "" they are in memory only, and a restarted program gets again whatever
// had not been acknowledged. The file has a line for each stream that ever came; where these are many thousands, use a
// database. One program at a time may use a file; a file that does not read is an error, and removing it is safe.
func AtLeastOnce(deliver func(context.Context, *Batch) error, file string) (Store, error) {
	k := &keeper{deliver: deliver, file: file, marks: map[Stream]Mark{}}
	if file == "" {
		return k, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	for line := range bytes.Lines(text) {
		s, m, err := parseMark(string(line))
		if err != nil {
			return nil, fmt.Errorf("read marks: %s: %w", file, err)
		}
		k.marks[s] = m
	}
	return k, nil
}

type keeper struct {
	deliver func(context.Context, *Batch) error
	file    string

	mu    sync.Mutex // guards marks and file
	marks map[Stream]Mark
}

// markLine is the form of a mark in the file: sender, epoch, sequence, chain.
func markLine(s Stream, m Mark) string {
	return fmt.Sprintf("%v %d %d %016x\n", s.Sender, s.Epoch, m.Seq, m.Chain)
}

// parseMark reads what markLine prints, and nothing else: a line that was cut off is not a smaller number.
func parseMark(line string) (s Stream, m Mark, err error) {
	var id string
	if _, err = fmt.Sscanf(line, "%32s %d %d %x\n", &id, &s.Epoch, &m.Seq, &m.Chain); err == nil {
		s.Sender, err = ParseSenderID(id)
	}
	if err == nil && markLine(s, m) != line {
		err = errors.New("not as it was written")
	}
	if err != nil {
		return Stream{}, Mark{}, fmt.Errorf("mark %q: want sender, epoch, sequence and chain: %w", line, err)
	}
	return s, m, nil
}

func (k *keeper) Mark(_ context.Context, s Stream) (Mark, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.marks[s], nil
}

func (k *keeper) Put(ctx context.Context, b *Batch) error {
	if err := k.deliver(ctx, b); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range b.Advances {
		k.marks[a.Stream] = a.To
	}
	if k.file == "" {
		return nil
	}
	if err := k.write(); err != nil { // delivered and marked in memory: what fails is tried again with the next batch
		return fmt.Errorf("write marks: %w", err)
	}
	return nil
}

// write replaces the file. It is not synced: after power loss an old one only brings batches again. The caller holds mu.
func (k *keeper) write() error {
	var b bytes.Buffer
	for s, m := range k.marks {
		b.WriteString(markLine(s, m))
	}
	next := k.file + ".new"
	if err := os.WriteFile(next, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(next, k.file)
}
