package systemd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/journal"

	"ftfuse/internal/journald/journaldtest"
)

func TestSend(t *testing.T) {
	d := journaldtest.New(t)
	s := newSender(d.Path)
	defer s.conn.Close()
	if err := s.send("x", journal.PriErr, nil); err == nil {
		t.Error("without journald: want an error, for the fallback")
	}
	d.Start()
	fields := map[string]string{"FTFUSE_ERROR": "two\nlines", "MESSAGE_ID": "0123"}
	if err := s.send("hello", journal.PriErr, fields); err != nil {
		t.Fatal(err)
	}
	e, ok := d.Next()
	fields["MESSAGE"], fields["PRIORITY"] = "hello", "3"
	if !ok || fmt.Sprint(e.Fields) != fmt.Sprint(fields) {
		t.Errorf("got %q, want %q", e.Fields, fields)
	}
}

// A journald that hangs costs whoever logs next to nothing; it hears later how many messages it missed.
func TestSendToJournaldThatHangs(t *testing.T) {
	d := journaldtest.New(t)
	d.Start()
	s := newSender(d.Path)
	defer s.conn.Close()
	for i := range 1000 {
		if err := s.send(fmt.Sprint("message ", i), journal.PriInfo, nil); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	d.Drain(&got)
	went := strings.Count(got, "\n")
	if went == 0 || s.lost == 0 || went+s.lost != 1000 {
		t.Fatalf("%d went through, %d are lost, of 1000", went, s.lost)
	}
	lost := s.lost
	for range 2 {
		if err := s.send("again", journal.PriInfo, nil); err != nil {
			t.Fatal(err)
		}
	}
	got = ""
	d.Drain(&got)
	want := fmt.Sprintf("again\n%d messages of ftfuse were lost before this one: journald did not read\nagain\n", lost)
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
