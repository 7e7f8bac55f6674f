// Package probe asks a receiver how things are, one step after the other, and sends it no data.
package probe

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"ftfuse/internal/record"
	"ftfuse/internal/wire"
)

// Way is how a receiver is reached.
type Way struct {
	Network, Address string // as net.Dial takes them: tcp or unix
	// Wrap opens TLS on a connection and says with whom; it closes the connection after an error. nil: none.
	Wrap func(context.Context, net.Conn) (net.Conn, string, error)
	// Unknown is what the DNS said where it did not say what the address is; Address is the name that it was asked for then.
	Unknown error
}

// Dial connects, for somebody who wants no steps.
func (w Way) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, w.Network, w.Address)
	if err != nil || w.Wrap == nil {
		return nc, err
	}
	nc, _, err = w.Wrap(ctx, nc)
	return nc, err
}

// Options say whom to ask and what.
type Options struct {
	Way
	Streams []record.Stream // whose marks to ask for, at most wire.MaxStreams
	Host    string          // the name that the receiver is told
	Count   int             // PINGs; 0: none
	Timeout time.Duration   // of each step [5 s]
	Told    func(Step)      // is told of each step as it ends [nobody]
}

// Result is what is known of a step.
type Result string

// The results.
const (
	OK      Result = "ok"
	Warning Result = "warning"
	Failed  Result = "failed" // the steps behind it are not tried
)

// Step is one thing that was tried.
type Step struct {
	Name   string
	Result Result
	Text   string // what came of it
	Hint   string // what to do, if it failed or is doubtful
	Took   time.Duration
}

// Report is what a receiver said.
type Report struct {
	Steps   []Step
	Remote  string       // address that answered
	Welcome wire.Welcome // zero unless Answered
	// Answered says that the receiver welcomed the peer.
	Answered   bool
	RoundTrips []time.Duration // of the PINGs, in their order
	Difference time.Duration   // of the receiver's clock to this one, positive if it is ahead; 0 if it does not say
	Doubt      time.Duration   // how much Difference may be off: half of the handshake
}

// Failure returns the step that failed, nil if none did.
func (r *Report) Failure() *Step {
	if n := len(r.Steps); n > 0 && r.Steps[n-1].Result == Failed {
		return &r.Steps[n-1]
	}
	return nil
}

// Mark returns how far the receiver says it holds a stream that it was asked for.
func (r *Report) Mark(s record.Stream) record.Durable {
	for _, m := range r.Welcome.Marks {
		if m.Stream == s {
			return m
		}
	}
	return record.Durable{Stream: s}
}

// apart is how far two clocks may differ before people should know.
const apart = time.Second

// asking is one Run.
type asking struct {
	o      Options
	report *Report
	nc     net.Conn
	sniff  *sniffer
	buf    []byte
}

// Run goes through the steps until one fails or ctx ends. An error of the network is a step that failed, never a panic or
// a wait beyond the steps' time.
func Run(ctx context.Context, o Options) *Report {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	a := &asking{o: o, report: &Report{}}
	defer func() {
		if a.nc != nil {
			a.nc.Close()
		}
	}()
	for _, step := range []func(context.Context) bool{a.connect, a.encrypt, a.hello, a.describe, a.trips, a.clock} {
		if !step(ctx) {
			break
		}
	}
	return a.report
}

// done notes a step that ended well.
func (a *asking) done(name string, began time.Time, format string, args ...any) bool {
	return a.note(Step{Name: name, Result: OK, Text: fmt.Sprintf(format, args...), Took: time.Since(began)})
}

// failed notes a step that did not.
func (a *asking) failed(name string, began time.Time, why fault) bool {
	a.note(Step{Name: name, Result: Failed, Text: why.text, Hint: why.hint, Took: time.Since(began)})
	return false
}

func (a *asking) note(s Step) bool {
	a.report.Steps = append(a.report.Steps, s)
	if a.o.Told != nil {
		a.o.Told(s)
	}
	return true
}

// encrypt opens TLS where the target has it.
func (a *asking) encrypt(ctx context.Context) bool {
	began := time.Now()
	if a.o.Wrap == nil && a.o.Network == "unix" {
		return a.done("TLS", began, "none: it does not leave this machine")
	}
	if a.o.Wrap == nil {
		return a.done("TLS", began, "none: what is sent can be read on the way")
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	nc, who, err := a.o.Wrap(ctx, a.nc)
	if err != nil {
		a.nc = nil
		return a.failed("TLS", began, fault{err.Error(), "compare `tls` of the target with the receiver's; `ftfuse check` looks at the files here"})
	}
	a.nc = nc
	return a.done("TLS", began, "%s", who)
}

// hello says HELLO under an id of its own, so that it is nobody's second connection, and learns what WELCOME says.
func (a *asking) hello(ctx context.Context) bool {
	const name = "authentication"
	began := time.Now()
	var id, instance [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(instance[:])
	defer context.AfterFunc(ctx, func() { a.nc.Close() })()
	if err := a.nc.SetDeadline(began.Add(a.o.Timeout)); err != nil {
		return a.failed(name, began, fault{err.Error(), ""})
	}
	a.sniff = &sniffer{from: a.nc, said: make([]byte, 0, 48)}
	hello := wire.Hello{Versions: []uint64{wire.Version}, Sender: id, Epoch: 1, Instance: instance,
		Host: wire.Text(a.o.Host), Streams: a.o.Streams, Features: []wire.Text{wire.Probe}}
	if _, err := a.nc.Write(hello.Append(nil)); err != nil {
		return a.failed(name, began, a.unanswered(err))
	}
	for {
		f, err := a.next()
		if err != nil {
			return a.failed(name, began, a.unanswered(err))
		}
		switch f := f.(type) {
		case wire.Welcome:
			now := time.Now()
			a.report.Welcome, a.report.Answered = f, true
			if f.Time != 0 {
				a.report.Doubt = now.Sub(began) / 2
				a.report.Difference = time.Unix(0, int64(f.Time)).Sub(began.Add(a.report.Doubt))
			}
			return a.done(name, began, "HELLO was answered: this machine may connect")
		case wire.Nack:
			return a.failed(name, began, refusal(f))
		case wire.Goaway:
			return a.failed(name, began, fault{fmt.Sprintf("the receiver is going away: %v: %s", f.Code, f.Text), "it stops or restarts: try again in a moment"})
		case wire.Unknown:
		default:
			return a.failed(name, began, fault{fmt.Sprintf("got %T, want WELCOME", f), "this is no receiver: compare the port"})
		}
	}
}

// next returns the next frame that is not a question. Deadlines are the caller's.
func (a *asking) next() (wire.Control, error) {
	for {
		f, buf, err := wire.ReadControl(a.sniff, a.buf)
		a.buf = buf
		ping, asks := f.(wire.Ping)
		if err != nil || !asks {
			return f, err
		}
		if _, err := a.nc.Write(wire.Pong(ping).Append(nil)); err != nil {
			return nil, err
		}
	}
}
