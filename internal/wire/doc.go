// Package wire is the form that chunks have between machines and in queue entries.
//
// # The protocol, version 1
//
// A sender connects to a receiver over one reliable byte stream (TCP, or TLS over it; nothing here depends on
// which). Both sides write frames:
//
//	4 bytes  length of what follows, unsigned, most significant byte first; never 0
//	n bytes  one msgpack array; its first element is the frame's type, an unsigned number
//
// Everything inside is msgpack (github.com/msgpack/msgpack/blob/master/spec.md), whose numbers are big-endian too.
// Writers use the shortest form of each number and length; readers accept any. All names (paths, hosts, commands)
// are written as bin, because Unix names are bytes, in no encoding; readers accept str as well. Ids are bin of 16
// bytes. Times are nanoseconds since 1970 UTC. Checksums are CRC-32C (Castagnoli, as in RFC 3720). A float, map
// or extension is used nowhere, but a later version may.
//
// Later versions may append elements to any array described here. Readers pass over elements that they do not
// know, of any kind and depth, and never need more of an array than is described here. A frame of a type from 64 up that the reader
// does not know is ignored; an unknown type below 64 ends the connection.
//
//	sender                                   receiver
//	HELLO  [1, "ftfuse", versions, sender id, epoch, instance, host, boot id, acked, streams, features]
//	                                         WELCOME [2, version, marks, credit, limits, features]
//	BATCH  [3, number, codec, crc, head length, body length, body]
//	                                         ACK     [4, through, credit]
//	                                         NACK    [5, code, number, text]
//	PING   [6, token]                        PONG    [7, token]         (either side may ask)
//	GOAWAY [8, code, text, retry]            GOAWAY
//
// HELLO is the sender's first frame. versions lists what the sender speaks; a receiver that finds its own among
// them answers WELCOME with the one chosen, otherwise NACK 1, and reads no further element. instance is random,
// made once per process: a second connection of the same sender and epoch replaces the first if the instance is
// the same, and is refused with NACK 2 if it is not (a clone). acked is the mark the sender knows to be
// acknowledged of its own stream; streams are [sender id, epoch] pairs whose marks it asks for. A stream is what
// sequences are counted in. A mark is [sender id, epoch, sequence, chain]: everything of that stream up to the sequence is durable at the
// receiver; chain is the 64-bit checksum over the stream's accepted chunks in order, see record.Chain.Next. A sender compares it with its
// own at that sequence: if they differ, the receiver has other data under the same names, and the sender begins a new epoch.
//
// WELCOME.limits is [largest body in bytes, most chunks of a batch, silence in ms after which the receiver closes,
// codecs as a bit set of 1<<codec]. credit is as in ACK.
//
// BATCH.number is 1, 2, 3 ... within the connection. body is bin: head, then payload; crc is that of the head,
// body length is of both, decompressed. codec 0: body as it is. 1: one S2 block. 2: one zstd frame without dictionary. Each body is
// compressed by itself, so that none needs an earlier one. The payload is that of all chunks, in order, without anything between; its
// checksums are the chunks' own, made where the bytes were captured. A head is [sources, files, writers, rows]:
//
//	source [sender id, epoch, host, boot id]
//	file   [mount, path, rule, unit]
//	writer [kind, pid, tid, uid, gid, start, comm, exe, unit, container]
//	row    [sequence, source, file, writer, handle, offset, time, clock, flags, records, crc, length, marks, gap]
//
// A row is a chunk; record.Chunk says what its fields mean. source, file and writer are places in the tables counted from 1; 0
// is none, allowed for file and writer of a gap only. sequence and time are differences from the row before
// (from 0 in the first), modulo 2^64, written as signed numbers. length is the chunk's part of the payload. marks and gap
// may be nil or, at the end of the row, missing. marks is [length, time, length, time ...], one pair per write(2),
// times being differences from the row's; the lengths add up to the row's. gap is [first, reason, bytes, records]; a gap has
// length 0 and crc 0. A receiver must tolerate any order of sequences and drop chunks that its mark covers. A hole in
// the sequences is no loss (chunks may be routed elsewhere); loss is always a gap.
//
// ACK.through is the number of the last batch that the receiver answers for, with all before it. credit is how many bytes of
// bodies (decompressed) may be under way in batches behind through; one batch may always be sent when none is under way, unless
// credit is 0. The same through may come again with another credit. A sender that exceeds the credit is refused.
//
// NACK refuses the handshake (number 0) or one batch; the receiver closes behind it. text is for people. The codes are constants
// here: on 2 the sender begins a new epoch, on 6 it gives the batch up and sends a gap, otherwise it comes back later.
// PONG repeats PING's token at once. GOAWAY: the other side finishes what is under way, begins nothing new, and comes back after
// retry milliseconds.
//
// # Limits
//
//	BATCH frame             MaxFrame    the largest body, and what compressing the incompressible adds
//	other frames            MaxControl  a WELCOME with MaxStreams marks fits
//	before HELLO            MaxControl  a stray peer costs no more
//	body                    MaxBody, or what WELCOME says, at least MinBody: a chunk of 1 MiB with its marks and names fits
//	chunk's payload         1 MiB       record.MaxChunk: what one peer can make the other hold at once
//	chunks of a batch       MaxChunks, or what WELCOME says; a row of 13 bytes becomes about 190 in memory
//	marks of a batch        MaxMarks    2 bytes become 16 in memory
//	path; other names       MaxPath, MaxName: PATH_MAX is 4096, and paths can be deeper by openat
//	streams of a HELLO      MaxStreams
//	declared array, bytes   what is left of the frame: nothing is allocated for bytes that have not come
//	depth                   none: unknown elements are counted, not descended into
//
// # Queue entries
//
// A queue entry is the array [1, crc of head, head, data]: version, checksum, and the same head, as bin. A row may have
// a fifteenth element, extents, [spool, offset, length, spool ...]: the payload is on this machine's disk and takes
// no part of data. Extents never travel; a receiver refuses them. A sixteenth, span, is how many bytes of the handle's stream the chunk
// stands for, where rules have changed its length; it never travels either.
//
// # What may never change
//
// The length prefix; HELLO's first three elements and NACK, whatever the versions, so that two ends that cannot talk can say so; the meaning
// of any number, place or bit above once released. What a version wrote is read forever: testdata holds a file of it.
package wire
