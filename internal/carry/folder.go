package carry

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ftfuse/internal/record"
)

// Folder keeps who sends, and of each file how far a receiver has acknowledged it. Removing it is safe for the data, but
// everything that is sent afterwards is new to receivers.
type Folder struct {
	dir string
	id  record.SenderID
}

// OpenFolder makes the folder and its id if they are missing.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	f := &Folder{dir: dir}
	name := filepath.Join(dir, "id")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeID(name)
	}
	if err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	if f.id, err = record.ParseSenderID(strings.TrimSpace(string(text))); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return f, nil
}

// makeID makes an id. Of several that do so at once the first one holds.
func makeID(name string) ([]byte, error) {
	var id record.SenderID
	_, _ = rand.Read(id[:]) // never fails
	next := fmt.Sprintf("%s.%d", name, os.Getpid())
	defer os.Remove(next)
	if err := write(next, []byte(id.String()+"\n")); err != nil {
		return nil, err
	}
	if err := os.Link(next, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(name)
}

// write makes a file that survives power loss.
func write(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// entry is what is known of one file at one receiver. It is one JSON file, replaced as a whole.
type entry struct {
	File     string       `json:"file"`     // for people: where it was sent from last
	Receiver string       `json:"receiver"` // for people
	Epoch    uint64       `json:"epoch"`
	Begins   uint32       `json:"begins"` // bytes at the beginning that Start is the checksum of
	Start    uint32       `json:"start"`
	Acked    uint64       `json:"acked"` // bytes that the receiver has acknowledged
	Chain    record.Chain `json:"chain"` // of the stream there
	Sum      uint32       `json:"sum"`   // CRC-32C of these bytes
	Ends     []int64      `json:"ends"`  // sizes behind Acked at which the file was found: cuts
	Changed  int64        `json:"changed"`

	name string
	lock *os.File
}

// reach is how far anything of the file may have been sent.
func (e *entry) reach() uint64 {
	if n := len(e.Ends); n > 0 {
		return max(e.Acked, uint64(e.Ends[n-1]))
	}
	return e.Acked
}

// open reads what is known under a key, a zero entry if nothing is, and holds it against other processes until close.
func (f *Folder) open(key string) (*entry, error) {
	e := &entry{name: filepath.Join(f.dir, key+".json")}
	var err error
	if e.lock, err = os.OpenFile(filepath.Join(f.dir, key+".lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := unix.Flock(int(e.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		e.close()
		if err == unix.EWOULDBLOCK {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("lock state: %w", err)
	}
	text, err := os.ReadFile(e.name)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err == nil {
		err = json.Unmarshal(text, e)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("read state %s: %w", e.name, err)
	}
	return e, nil
}

func (e *entry) close() { e.lock.Close() }

// save replaces the file.
func (e *entry) save() error {
	text, err := json.Marshal(e)
	if err == nil {
		err = write(e.name+".new", append(text, '\n'))
	}
	if err == nil {
		err = os.Rename(e.name+".new", e.name)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(e.name))
	}
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
