package control

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"ftfuse/internal/format"
	"ftfuse/internal/record"
)

// PathTap streams live records. GET with the parameters of TapQuery: a Stream of TapLine.
const PathTap = "/v1/tap"

// TapQuery says which records are wanted: all conditions that are set must hold.
type TapQuery struct {
	Path string  // glob as in a rule's match; on a sender also an absolute one; "": any
	Host string  // glob of host names; "": any
	Rule string  // "": any
	PID  *uint32 // nil: any
	UID  *uint32 // nil: any
	Rate int     // records a second at most; 0: no bound
}

// Encode returns q as the query of a request.
func (q TapQuery) Encode() string {
	v := url.Values{}
	for key, text := range map[string]string{"path": q.Path, "host": q.Host, "rule": q.Rule} {
		if text != "" {
			v.Set(key, text)
		}
	}
	for key, id := range map[string]*uint32{"pid": q.PID, "uid": q.UID} {
		if id != nil {
			v.Set(key, strconv.FormatUint(uint64(*id), 10))
		}
	}
	if q.Rate > 0 {
		v.Set("rate", strconv.Itoa(q.Rate))
	}
	return v.Encode()
}

// ParseTapQuery reads what Encode wrote. It refuses parameters that it does not know: a condition that were left out would
// show records that nobody wants.
func ParseTapQuery(v url.Values) (TapQuery, error) {
	q := TapQuery{Path: v.Get("path"), Host: v.Get("host"), Rule: v.Get("rule")}
	for key := range v {
		var err error
		text := v.Get(key)
		switch key {
		case "path", "host", "rule":
		case "pid":
			q.PID, err = parseID(text)
		case "uid":
			q.UID, err = parseID(text)
		case "rate":
			if q.Rate, err = strconv.Atoi(text); err == nil && q.Rate < 0 {
				err = strconv.ErrRange
			}
		default:
			err = fmt.Errorf("unknown parameter")
		}
		if err != nil {
			return TapQuery{}, &Error{Status: 400, Text: fmt.Sprintf("tap: %s %q: %v", key, text, err)}
		}
	}
	return q, nil
}

func parseID(text string) (*uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	id := uint32(n)
	return &id, err
}

// TapLine is one line of the stream. Exactly one field is set.
type TapLine struct {
	Begun   bool        `json:"begun,omitempty"` // the first line: from now on everything is heard
	Record  *TapRecord  `json:"record,omitempty"`
	Skipped *TapSkipped `json:"skipped,omitempty"`
}

// TapSkipped counts records that were wanted and are not shown, since the last time.
type TapSkipped struct {
	Rate int `json:"rate,omitempty"` // beyond the rate
	Slow int `json:"slow,omitempty"` // whoever listens did not keep up
	Gone int `json:"gone,omitempty"` // not readable any more
}

// TapRecord is one record, or a gap, with the keys of the json format (docs/output.md).
type TapRecord struct {
	Time       string  `json:"time"`
	Data       *string `json:"data,omitempty"` // without the line end
	DataBase64 []byte  `json:"data_base64,omitempty"`
	NoLF       bool    `json:"no_lf,omitempty"`
	End        string  `json:"end,omitempty"` // the line end, where it is not LF
	Continues  bool    `json:"continues,omitempty"`
	Continued  bool    `json:"continued,omitempty"`
	Gap        *TapGap `json:"gap,omitempty"`
	Seq        uint64  `json:"seq,omitempty"` // not known before the record is queued
	Handle     uint64  `json:"handle"`
	Offset     uint64  `json:"offset"`
	Clock      string  `json:"clock"`
	Below      bool    `json:"below,omitempty"`
	Host       string  `json:"host"`
	*TapFile           // nil: a gap that belongs to no file
	Writer     string  `json:"writer,omitempty"`
	*TapWriter         // nil: not known
	Sender     string  `json:"sender"`
	Epoch      uint64  `json:"epoch"`
	BootID     string  `json:"boot_id"`
}

// TapGap is what is missing.
type TapGap struct {
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Reason  string `json:"reason"`
	Bytes   uint64 `json:"bytes"`
	Records uint64 `json:"records"`
}

// TapFile is the file of a record.
type TapFile struct {
	Mount      string `json:"mount"`
	Path       string `json:"path,omitempty"`
	PathBase64 []byte `json:"path_base64,omitempty"`
	Rule       string `json:"rule"`
	Unit       string `json:"record"`
}

// TapWriter is who wrote it.
type TapWriter struct {
	PID        uint32 `json:"pid"`
	TID        uint32 `json:"tid"`
	UID        uint32 `json:"uid"`
	GID        uint32 `json:"gid"`
	Start      uint64 `json:"start"`
	Comm       string `json:"comm,omitempty"`
	CommBase64 []byte `json:"comm_base64,omitempty"`
	Exe        string `json:"exe,omitempty"`
	ExeBase64  []byte `json:"exe_base64,omitempty"`
	Service    string `json:"unit,omitempty"`
	Container  string `json:"container,omitempty"`
}

// tapTime is that of the json format: UTC, nine digits.
const tapTime = "2006-01-02T15:04:05.000000000Z"

// NewTapRecord makes a record of data, which is c's payload from c.Offset + off on, written at the time at in nanoseconds
// since 1970; nil if c is a gap.
func NewTapRecord(c *record.Chunk, data []byte, off uint64, at int64) *TapRecord {
	r := &TapRecord{Time: time.Unix(0, at).UTC().Format(tapTime), Seq: c.Seq, Handle: c.Handle, Offset: c.Offset + off,
		Clock: c.Clock.String(), Below: c.Flags&record.Below != 0}
	if s := c.Source; s != nil {
		r.Host, r.Sender, r.Epoch, r.BootID = s.Host, s.Captor().String(), s.Epoch, s.BootID
	}
	if f := c.File; f != nil {
		r.TapFile = &TapFile{Mount: f.Mount, Rule: f.Rule, Unit: f.Unit.String()}
		r.Path, r.PathBase64 = text(f.Path)
	}
	if w := c.Writer; w != nil {
		r.Writer = w.Kind.String()
		if w.Kind != record.Unknown {
			r.TapWriter = &TapWriter{PID: w.PID, TID: w.TID, UID: w.UID, GID: w.GID, Start: w.Start, Service: w.Unit, Container: w.Container}
			r.Comm, r.CommBase64 = text(w.Comm)
			r.Exe, r.ExeBase64 = text(w.Exe)
		}
	}
	if g := c.Gap; g != nil {
		r.Gap = &TapGap{First: g.First, Last: c.Seq, Reason: g.Reason.String(), Bytes: g.Bytes, Records: g.Records}
		return r
	}
	data = r.cut(c, data)
	if s, bytes := text(string(data)); bytes == nil {
		r.Data = &s
	} else {
		r.DataBase64 = bytes
	}
	return r
}

// cut parts data from the line end that it has by its unit, and notes which that was.
func (r *TapRecord) cut(c *record.Chunk, data []byte) []byte {
	if c.File == nil || c.File.Unit != record.Line && c.File.Unit != record.Framed {
		return data
	}
	text, end := format.Cut(c, data)
	switch {
	case len(end) == 0:
		r.NoLF = true
	case string(end) != "\n":
		r.End = string(end)
	}
	return text
}

// text returns s where JSON can carry it, else its bytes.
func text(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// Bytes returns the data of a record, whichever way it came.
func (r *TapRecord) Bytes() []byte {
	if r.Data != nil {
		return []byte(*r.Data)
	}
	return r.DataBase64
}
