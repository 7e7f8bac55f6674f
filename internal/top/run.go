package top

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
	"golang.org/x/sys/unix"

	"ftfuse/internal/control"
)

// patience is how long an answer may take.
const patience = 3 * time.Second

// Options say what to look at.
type Options struct {
	Sockets  []string         // of the processes that run here, at least one; Tab goes from one to the next
	Interval time.Duration    // between two looks
	Colour   bool             // false: bold, dim and reverse only
	Signals  <-chan os.Signal // the first one ends it

	tty tcell.Tty // nil: the terminal of the process
}

// SignalError says that a signal other than os.Interrupt has ended Run.
type SignalError struct{ Signal os.Signal }

func (e SignalError) Error() string { return "stopped by signal " + e.Signal.String() }

// Run shows the view until somebody quits, and returns nil then, a SignalError after a signal, or why the terminal cannot
// be used. Whatever happens, the terminal is as before when it has returned or panicked.
func Run(ctx context.Context, o Options) error {
	colours := 0
	if o.Colour {
		colours = 8
	}
	// Nothing is asked of the terminal: over a slow line its answers come late, and look like keys.
	screen, err := tcell.NewTerminfoScreenFromTty(o.tty, tcell.OptNegotiation(false), tcell.OptKeyboardProtocol(tcell.LegacyKeyboard),
		tcell.OptColors(colours), tcell.OptSanitizeContent(true))
	if err != nil {
		return fmt.Errorf("use the terminal: %w", err)
	}
	if err := screen.Init(); err != nil {
		return fmt.Errorf("use the terminal: %w", err)
	}
	defer screen.Fini() // on a panic as well
	v := &viewer{o: o, screen: screen, model: Model{Interval: o.Interval, Switch: len(o.Sockets) > 1, ASCII: !strings.EqualFold(screen.CharacterSet(), "UTF-8"), now: time.Now()}}
	return v.run(ctx)
}

// viewer connects model, terminal and the one who asks.
type viewer struct {
	o      Options
	screen tcell.Screen
	model  Model
	at     int // index in Sockets
}

// answer is what one look brought.
type answer struct {
	status control.Status
	err    error
	panic  string
}

func (v *viewer) run(ctx context.Context) error {
	for {
		again, err := v.watch(ctx, v.o.Sockets[v.at])
		if !again {
			return err
		}
		v.at = (v.at + 1) % len(v.o.Sockets)
		v.model.Forget()
	}
}

// watch shows one process. again: the other one is wanted.
func (v *viewer) watch(ctx context.Context, socket string) (again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	answers, done := make(chan answer), make(chan struct{})
	go func() {
		defer close(done)
		ask(ctx, socket, v.o.Interval, answers)
	}()
	defer func() { cancel(); <-done }()
	for {
		v.draw()
		select {
		case <-ctx.Done():
			return false, nil
		case s := <-v.o.Signals:
			if s == os.Interrupt {
				return false, nil
			}
			return false, SignalError{s}
		case a := <-answers:
			v.take(socket, a)
		case ev, ok := <-v.screen.EventQ():
			if !ok {
				return false, errors.New("the terminal is gone")
			}
			switch v.handle(ev) {
			case Quit:
				return false, nil
			case SwitchOver:
				return true, nil
			}
		}
	}
}

func (v *viewer) take(socket string, a answer) {
	switch {
	case a.panic != "":
		panic(a.panic) // here, where the terminal is given back
	case errors.Is(a.err, control.ErrNotRunning):
		v.model.Lost(fmt.Errorf("nobody answers on %s", socket), time.Now())
	case errors.Is(a.err, context.DeadlineExceeded):
		v.model.Lost(fmt.Errorf("no answer from %s within %s", socket, patience), time.Now())
	case a.err != nil:
		v.model.Lost(a.err, time.Now())
	default:
		v.model.Update(a.status, time.Now())
	}
}

// ask looks again and again until ctx ends.
func ask(ctx context.Context, socket string, every time.Duration, out chan<- answer) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		a := look(ctx, socket)
		select {
		case out <- a:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func look(ctx context.Context, socket string) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a.panic = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a.err = control.Call(ctx, socket, http.MethodGet, control.PathStatus, nil, &a.status)
	return a
}

var keys = map[tcell.Key]string{tcell.KeyUp: "Up", tcell.KeyDown: "Down", tcell.KeyPgUp: "PgUp", tcell.KeyPgDn: "PgDn", tcell.KeyHome: "Home",
	tcell.KeyTab: "Tab", tcell.KeyEscape: "Esc", tcell.KeyCtrlC: "Ctrl-C"}

func (v *viewer) handle(ev tcell.Event) Action {
	switch ev := ev.(type) {
	case *tcell.EventResize:
		v.screen.Sync()
	case *tcell.EventKey:
		switch ev.Key() {
		case tcell.KeyRune:
			return v.model.Key(ev.Str())
		case tcell.KeyCtrlL:
			v.screen.Sync()
		case tcell.KeyCtrlZ:
			v.suspend()
		default:
			return v.model.Key(keys[ev.Key()])
		}
	}
	return Nothing
}

// suspend gives the terminal back and stops the process group, as Ctrl-Z does elsewhere. It goes on with SIGCONT.
func (v *viewer) suspend() {
	if v.screen.Suspend() != nil {
		return
	}
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, unix.SIGCONT)
	defer signal.Stop(woken)
	_ = unix.Kill(0, unix.SIGTSTP) // where nobody could wake us, the kernel ignores it
	select {
	case <-woken:
	case <-time.After(time.Second): // ignored; a time that passes while we are stopped is over with SIGCONT
	}
	_ = v.screen.Resume() // else the terminal is gone, as the next event says
	v.screen.Sync()
}

var styles = map[Look]tcell.Style{
	Plain: tcell.StyleDefault,
	Bold:  tcell.StyleDefault.Bold(true),
	Dim:   tcell.StyleDefault.Dim(true),
	Head:  tcell.StyleDefault.Reverse(true),
	Good:  tcell.StyleDefault.Foreground(color.Green),
	Warn:  tcell.StyleDefault.Foreground(color.Olive), // dark yellow, which is readable on white too
	Bad:   tcell.StyleDefault.Foreground(color.Maroon).Bold(true),
}

// colourless are the looks that are colours else.
var colourless = map[Look]tcell.Style{
	Good: tcell.StyleDefault,
	Warn: tcell.StyleDefault.Bold(true),
	Bad:  tcell.StyleDefault.Bold(true).Reverse(true),
}

func (v *viewer) style(l Look) tcell.Style {
	if s, ok := colourless[l]; ok && !v.o.Colour {
		return s
	}
	return styles[l]
}

func (v *viewer) draw() {
	columns, lines := v.screen.Size()
	v.screen.Clear()
	for y, l := range View(&v.model, columns, lines) {
		x := 0
		for _, s := range l {
			v.screen.PutStrStyled(x, y, s.Text, v.style(s.Look))
			x += width(s.Text)
		}
	}
	v.screen.Show()
}
