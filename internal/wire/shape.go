package wire

import "ftfuse/internal/record"

// shape is what a value must look like before the library may decode it.
type shape struct {
	kind  kind
	what  string
	limit uint64   // of a number; bytes of a text; elements of a list
	parts []*shape // of a list: its elements' one
	least int      // of a record: the elements that every version had; the others may be missing, and are zero then
}

type kind uint8

const (
	aNumber kind = iota
	aText
	anID // of 16 bytes
	aList
	aRecord // an array whose places have meanings; there may be more than are known
)

func number(what string) *shape { return &shape{kind: aNumber, what: what, limit: maxUint64} }
func small(what string) *shape  { return &shape{kind: aNumber, what: what, limit: maxUint8} }
func text(what string, limit uint64) *shape {
	return &shape{kind: aText, what: what, limit: limit}
}
func id(what string) *shape { return &shape{kind: anID, what: what} }
func listOf(limit uint64, one *shape) *shape {
	return &shape{kind: aList, what: one.what + "s", limit: limit, parts: []*shape{one}}
}
func array(what string, of ...*shape) *shape {
	return &shape{kind: aRecord, what: what, parts: of, least: len(of)}
}

// and is s with elements behind, which may be missing.
func (s *shape) and(of ...*shape) *shape {
	return &shape{kind: aRecord, what: s.what, parts: append(s.parts[:len(s.parts):len(s.parts)], of...), least: s.least}
}

// The control frames, as the package comment specifies them.
var (
	streamShape  = array("stream", id("sender"), number("epoch"))
	markShape    = array("mark", id("sender"), number("epoch"), number("sequence"), number("chain"))
	versionShape = listOf(maxVersions, number("version"))
	featureShape = listOf(maxFeatures, text("feature", 64))

	otherHelloShape = array("HELLO", small("type"), text("magic", MaxName), versionShape)
	helloShape      = array("HELLO", small("type"), text("magic", MaxName), versionShape, id("sender"), number("epoch"), id("instance"),
		text("host", MaxName), text("boot id", MaxName), markShape, listOf(MaxStreams, streamShape), featureShape)
	welcomeShape = array("WELCOME", small("type"), number("version"), listOf(MaxStreams, markShape), number("credit"),
		array("limits", number("body"), number("chunks"), number("idle"), number("codecs")), featureShape).
		and(id("receiver"), text("name", MaxName), number("time"))
	ackShape     = array("ACK", small("type"), number("through"), number("credit"))
	nackShape    = array("NACK", small("type"), small("code"), number("number"), text("text", MaxName))
	pingShape    = array("PING", small("type"), number("token"))
	goawayShape  = array("GOAWAY", small("type"), small("code"), text("text", MaxName), number("retry"))
	unknownShape = array("frame", small("type"))
)

// copy appends the next value to dst, if it has shape s, with the elements of arrays that s knows. It goes no deeper
// than s does.
func (r *reader) copy(dst []byte, s *shape) []byte {
	start := r.off
	switch s.kind {
	case aNumber:
		r.uint(s.what, s.limit)
	case aText:
		r.bin(s.what, s.limit)
	case anID:
		r.sender(s.what, new(record.SenderID))
	case aList:
		n := r.array(s.what, 0, int(s.limit))
		dst = appendArray(dst, n)
		for i := 0; i < n && r.err == nil; i++ {
			dst = r.copy(dst, s.parts[0])
		}
		return dst
	case aRecord:
		n := r.array(s.what, s.least, maxElements)
		dst = appendArray(dst, len(s.parts))
		for i := 0; i < len(s.parts) && r.err == nil; i++ {
			if i >= n {
				dst = s.parts[i].appendZero(dst)
				continue
			}
			dst = r.copy(dst, s.parts[i])
		}
		r.skip(n - len(s.parts))
		return dst
	}
	return append(dst, r.b[start:r.off]...)
}

// appendZero appends what stands for a missing element.
func (s *shape) appendZero(dst []byte) []byte {
	switch s.kind {
	case aText:
		return appendBin(dst, "")
	case anID:
		return appendBin(dst, make([]byte, len(record.SenderID{})))
	case aList:
		return appendArray(dst, 0)
	case aRecord:
		dst = appendArray(dst, len(s.parts))
		for _, p := range s.parts {
			dst = p.appendZero(dst)
		}
		return dst
	}
	return appendUint(dst, 0)
}
