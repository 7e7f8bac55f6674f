package node

import (
	"errors"
	"maps"
	"slices"
	"time"

	"ftfuse/internal/config"
	"ftfuse/internal/ledger"
	"ftfuse/internal/record"
)

// What a receiver answers for is what all of its outputs hold. So an output that is new, or comes again after a time
// without it, begins at the marks of the others: where they are now is where its part of every stream begins.

// rolls are the names of what takes part: targets and plug-ins do by their queue, which is called "".
func rolls(cfg *config.Receiver) map[string]bool {
	all := map[string]bool{}
	for _, c := range cfg.Outputs {
		if c.Type != "plugin" {
			all[c.Name] = true
		}
	}
	if needsQueue(cfg) {
		all[""] = true
	}
	return all
}

// enrol makes the outputs of cfg take part, before those that are new are opened and while nothing is put to any. Those
// that are gone are still counted on, until retire.
func (r *receiver) enrol(cfg *config.Receiver) error {
	want := rolls(cfg)
	in, err := r.ledger.Enrolled()
	if err != nil {
		return err
	}
	if r.intake.Load() == nil { // nobody knows how far it is
		in = slices.DeleteFunc(in, func(name string) bool { return name == "" })
	}
	var fresh []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		part, err := r.part(name)
		switch {
		case err != nil:
			return err
		case part != ledger.In:
			fresh = append(fresh, name)
		case !slices.Contains(in, name): // it is from a time without roll
			if err := r.ledger.Book(name).Enrol(nil); err != nil {
				return err
			}
			in = append(in, name)
		}
	}
	var marks []record.Durable
	if r.ledger.Salvages() == 0 { // else what is not known may have been: it comes again, and is not passed over
		if marks, err = r.lowest(in); err != nil {
			return err
		}
	}
	for _, name := range fresh {
		if err := r.enter(name, marks); err != nil {
			return err
		}
	}
	return nil
}

// retire notes that outputs which cfg has not take part no more.
func (r *receiver) retire(cfg *config.Receiver) error {
	names, err := r.ledger.Enrolled()
	stays := rolls(cfg)
	for _, name := range names {
		if !stays[name] {
			err = errors.Join(err, r.ledger.Book(name).Retire())
		}
	}
	return err
}

// part is the book's, and for the queue what it holds where the book does not know it.
func (r *receiver) part(name string) (ledger.Part, error) {
	p, err := r.ledger.Book(name).Part()
	if p == ledger.New && name == "" && r.intake.Load() != nil && len(r.intake.Load().Marks()) > 0 {
		p = ledger.In
	}
	return p, err
}

// markOf returns how far an output holds a stream, by what is on disk.
func (r *receiver) markOf(name string, s record.Stream) (record.Durable, error) {
	m, err := r.ledger.Book(name).Mark(s)
	if name == "" && r.intake.Load() != nil {
		if q := r.intake.Load().Mark(s); q.Seq > m.Seq {
			m = q
		}
	}
	return m, err
}

// lowest returns, of every stream that all of the outputs hold something of, how far all do.
func (r *receiver) lowest(names []string) (marks []record.Durable, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	err = r.ledger.Book(names[0]).Marks(func(m record.Durable, _ time.Time) bool {
		marks = append(marks, m)
		return true
	})
	if err != nil {
		return nil, err
	}
	if names[0] == "" && r.intake.Load() != nil {
		marks = append(marks, r.intake.Load().Marks()...)
	}
	low := map[record.Stream]record.Durable{}
	for _, m := range marks {
		for _, name := range names {
			o, err := r.markOf(name, m.Stream)
			if err != nil {
				return nil, err
			}
			if o.Seq <= m.Seq {
				m = o
			}
		}
		if m.Seq > 0 {
			low[m.Stream] = m
		}
	}
	return slices.Collect(maps.Values(low)), nil
}

// enter lets an output begin at marks, where it does not hold more already.
func (r *receiver) enter(name string, marks []record.Durable) error {
	var more []record.Durable
	for _, m := range marks {
		has, err := r.markOf(name, m.Stream)
		if err != nil {
			return err
		}
		if m.Seq > has.Seq {
			more = append(more, m)
		}
	}
	if err := r.ledger.Book(name).Enrol(more); err != nil {
		return err
	}
	if name == "" && r.intake.Load() != nil {
		r.intake.Load().Adopt(more, time.Now())
	}
	return nil
}

// adopt lets the queue begin where it was once let begin, as far as it holds no more of a stream.
func (r *receiver) adopt() error {
	then := map[time.Time][]record.Durable{} // it was let begin few times
	err := r.ledger.Book("").Marks(func(m record.Durable, touched time.Time) bool {
		then[touched] = append(then[touched], m)
		return true
	})
	for touched, marks := range then {
		r.intake.Load().Adopt(marks, touched)
	}
	return err
}
