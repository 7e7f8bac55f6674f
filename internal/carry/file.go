package carry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"ftfuse/internal/record"
)

// File sends what is new of a file, and returns when the receiver has acknowledged all of it as it was found.
func (o Options) File(ctx context.Context, name string, as As) (Result, error) {
	r, err := o.file(ctx, name, as)
	if err != nil {
		return r, fmt.Errorf("send %s: %w", name, err)
	}
	return r, nil
}

func (o *Options) file(ctx context.Context, name string, as As) (r Result, err error) {
	if err := o.complete(); err != nil {
		return r, err
	}
	began := time.Now()
	s, err := openSource(name)
	if err != nil {
		return r, err
	}
	defer s.f.Close()
	who, err := o.ask(ctx, as.Host)
	if err != nil {
		return r, err
	}
	receiver := o.Name
	if id := who.Welcome.Receiver; id != (record.SenderID{}) {
		receiver = id.String()
	}
	e, err := o.Folder.open(as.key(s.key, receiver))
	if err != nil {
		return r, err
	}
	defer e.close()
	p := &plan{o: o, s: s, e: e}
	if err := p.check(ctx, as); err != nil {
		return r, err
	}
	e.File, e.Receiver = name, o.Name
	p.stream = record.Stream{Sender: o.Folder.id, Epoch: e.Epoch}
	if who, err = o.ask(ctx, as.Host, p.stream); err != nil {
		return r, err
	}
	if err := p.resume(who); err != nil {
		return r, err
	}
	r.Had = max(e.Acked, who.Mark(p.stream).Seq)
	if len(e.Ends) > 0 {
		b := newLoad(p, as, o.BootID)
		if err := e.save(); err != nil { // the cuts, before anything is sent
			return r, err
		}
		st, fault := o.deliver(ctx, b, as.Host)
		r.Sent, r.Records = b.new(r.Had), st.AckedRecords
		if fault != nil {
			_ = b.keep() // what was acknowledged need not be gone over again
			return r, fault
		}
	}
	e.Changed = s.changed
	r.Took = time.Since(began)
	if err := e.save(); err != nil {
		return r, err
	}
	size := s.size
	if err := s.look(); err == nil {
		r.Later = s.size - size
	}
	return r, nil
}

// instanceOf is the same for each process that sends a stream: its lock says that there is one at a time, so the connection
// of one that was killed can be replaced at once.
func instanceOf(s record.Stream) (id [16]byte) {
	h := sha256.New()
	h.Write(s.Sender[:])
	addNumber(h, s.Epoch)
	copy(id[:], h.Sum(nil))
	return id
}
