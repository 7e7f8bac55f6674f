package wire

import "fmt"

// Code says why a NACK or GOAWAY was sent.
type Code uint8

// The codes. The numbers are on the wire.
const (
	NoVersion  Code = 1 // no version in common
	NewEpoch   Code = 2 // another process sends under this sender and epoch
	Busy       Code = 3 // too many connections
	Malformed  Code = 4 // a frame that breaks the format or the order of frames
	BadData    Code = 5 // a payload that does not have its checksum
	NotTaken   Code = 6 // the receiver can never take the batch
	OverLimit  Code = 7 // larger than advertised, beyond the credit, or too slow
	Denied     Code = 8 // not allowed to send here
	GoingDown  Code = 9 // the receiver stops
	Superseded Code = 10
	Loop       Code = 11 // the data has passed this relay before, or too many
)

func (c Code) String() string {
	if c < NoVersion || c > Loop {
		return fmt.Sprintf("code %d", uint8(c))
	}
	return [...]string{"", "no common version", "new epoch required", "busy", "malformed", "bad data", "not taken",
		"over limit", "denied", "going down", "superseded", "loop"}[c]
}

// Ack says that the receiver answers for all batches up to Through, and that bodies of at most Credit bytes in
// all may be on their way in batches behind it.
type Ack struct{ Through, Credit uint64 }

// Append appends the frame.
func (a Ack) Append(dst []byte) []byte { return appendFrame(dst, &ackFrame{TypeAck, a}) }

// Nack refuses: the handshake (Number 0), or batch Number. The receiver closes the connection behind it.
type Nack struct {
	Code   Code
	Number uint64
	Text   Text // for people
}

// Append appends the frame.
func (n Nack) Append(dst []byte) []byte { return appendFrame(dst, &nackFrame{TypeNack, n}) }

// Ping asks for a Pong with the same token.
type Ping struct{ Token uint64 }

// Append appends the frame.
func (p Ping) Append(dst []byte) []byte { return appendFrame(dst, &pingFrame{TypePing, p}) }

// Pong answers a Ping.
type Pong struct{ Token uint64 }

// Append appends the frame.
func (p Pong) Append(dst []byte) []byte { return appendFrame(dst, &pongFrame{TypePong, p}) }

// Goaway announces that the side that sends it will close: the other finishes what is on its way and begins
// nothing. RetryMillis is when to come back, 0 if the other may choose.
type Goaway struct {
	Code        Code
	Text        Text // for people
	RetryMillis uint64
}

// Append appends the frame.
func (g Goaway) Append(dst []byte) []byte { return appendFrame(dst, &goawayFrame{TypeGoaway, g}) }

// Unknown is a frame of an optional type that this version does not know: to be ignored.
type Unknown struct{ Type Type }

// Append appends the frame without what was in it.
func (u Unknown) Append(dst []byte) []byte { return appendFrame(dst, &u) }
