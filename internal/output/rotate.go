package output

import (
	"fmt"
	"log/slog"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"ftfuse/internal/ledger"
	"ftfuse/internal/notice"
)

// due says whether f must be rotated before the next append.
func (o *Output) due(f *file, now time.Time) bool {
	r := &o.o.Rotate
	if f.pos.Size == 0 || now.Before(o.rotateAgain) {
		return false
	}
	return r.Size > 0 && f.pos.Size >= r.Size || r.Age > 0 && now.UnixNano()-f.pos.Since >= int64(r.Age)
}

const maxTries = 999 // rotations of one file in one second; tailRoom has room for the number

// rotate closes f and gives it a name with the time behind it. A rotated file is never written again, so one rename
// is all that a crash can come before or after; the ledger's move says which. The caller has the turn.
func (o *Output) rotate(f *file, now time.Time) error {
	for try := 1; ; try++ {
		m := &ledger.Move{Position: f.pos, To: rotatedName(f.name, now.In(o.o.Location), try), At: now.UnixNano()}
		if taken, err := o.o.Book.HasClosed(f.name, m.To); err != nil {
			return err
		} else if taken && try < maxTries {
			continue // by an earlier rotation in this second; its file may be compressed any moment
		} else if taken {
			o.rotateAgain = now.Add(time.Second)
			o.files.drop(f)
			return nil
		}
		o.dirty = true
		if err := o.o.Book.BeginMove(m, o.o.Disk); err != nil {
			return err
		}
		o.o.step("move")
		err := o.base.rename(f.name, m.To)
		if err == unix.EEXIST && try < maxTries {
			continue
		}
		o.o.step("renamed")
		o.files.drop(f)
		if err := o.o.Book.EndMove(m, err == nil, o.o.Disk); err != nil {
			return err
		}
		o.dirty = false
		o.o.step("moved")
		if err == unix.ENOENT {
			return nil // somebody renamed it first: the name is free as well
		} else if err != nil { // no reason to hold up deliveries
			o.rotateAgain = now.Add(time.Minute)
			o.stats.fail(fmt.Errorf("rotate %s: %w", f.name, err))
			o.log(slog.LevelWarn, "cannot rotate", notice.RotationFailed, slog.String("file", f.name), slog.Any("error", err))
			return nil
		}
		o.stats.rotated.Add(1)
		o.log(slog.LevelInfo, "rotated", slog.String("file", f.name), slog.String("to", m.To))
		o.nudge()
		return nil
	}
}

// rotatedName puts the time behind the name, as logrotate's dateext does, and a number when that is taken.
func rotatedName(name string, now time.Time, try int) string {
	tail := now.Format("-20060102-150405")
	if try > 1 {
		tail += fmt.Sprintf(".%d", try)
	}
	dir, last := path.Split(name)
	return dir + shorten(last, maxName-tailRoom) + tail
}

// nudge wakes Run.
func (o *Output) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// sweep closes idle files and rotates those whose age has come although nobody writes them.
func (o *Output) sweep() {
	<-o.turn
	defer func() { o.turn <- struct{}{} }()
	if o.closed || o.dirty {
		return
	}
	now := o.o.now()
	if o.o.Rotate.Age > 0 {
		for _, name := range o.aged(now) {
			if err := o.retire(name, now); err != nil {
				o.stats.fail(err)
				break
			}
		}
	}
	o.files.closeIdle(now.Add(-o.o.Idle))
	o.stats.open.Store(int64(o.files.len()))
}

// retire rotates a file that nobody may be writing, without making a new one.
func (o *Output) retire(name string, now time.Time) error {
	f := o.files.get(name)
	if f == nil {
		var err error
		if f, err = o.openFile(name, "", now); err != nil {
			return err
		}
	}
	if err := o.measure(f); err != nil || !o.due(f, now) {
		return err
	}
	return o.rotate(f, now)
}

// aged returns the files whose age has come.
func (o *Output) aged(now time.Time) (names []string) {
	const most = 1000 // in one sweep
	before := now.Add(-o.o.Rotate.Age).UnixNano()
	err := o.o.Book.Positions(func(p ledger.Position) bool {
		if p.Since <= before && p.Size > 0 {
			if s, err := o.base.stat(p.Path); err == nil && s.key == p.Key {
				names = append(names, p.Path)
			}
		}
		return len(names) < most
	})
	if err != nil {
		o.stats.fail(err)
	}
	return names
}
