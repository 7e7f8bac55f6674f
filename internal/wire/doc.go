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
// Writers use the shortest form of each number and length; readers accept any. All names (paths, hosts, commands) and
// texts are written as bin, because Unix names are bytes, in no encoding; readers accept str as well. Ids are bin of 16
// bytes. Times are nanoseconds since 1970 UTC. Checksums are CRC-32C (Castagnoli, as in RFC 3720; of the nine bytes
// "123456789" it is e3069283). A float, map or extension is used nowhere, but a later version may. A list without
// elements is an empty array, not nil.
//
// Later versions may append elements to any array described here. Readers pass over elements that they do not
// know, of any kind and depth, and never need more of an array than is described here. A frame of a type from 64 up that
// the reader does not know is ignored; an unknown type below 64 ends the connection.
//
//	sender                                   receiver
//	HELLO  [1, "ftfuse", versions, sender id, epoch, instance, host, boot id, acked, streams, features]
//	                                         WELCOME [2, version, marks, credit, limits, features, receiver, name, time]
//	BATCH  [3, number, codec, crc, head length, body length, body]
//	                                         ACK     [4, through, credit]
//	                                         NACK    [5, code, number, text]
//	PING   [6, token]                        PONG    [7, token]         (either side may ask)
//	GOAWAY [8, code, text, retry]            GOAWAY
//
// # The handshake
//
// HELLO is the sender's first frame. versions lists what the sender speaks; a receiver that finds its own among
// them answers WELCOME with the one chosen, otherwise NACK 1, and reads no further element. epoch is that of what the sender
// captures now; with the sender id it is a stream, which is what sequences are counted in: they grow within a stream and
// none is given twice. instance is bin of 16 bytes, random, made once per process: a second connection of the same sender and epoch
// replaces the first if the instance is the same, or if the first does not answer a PING within seconds; otherwise the
// second is a clone and refused with NACK 2. What the first connection brought must be stored, or given up, before the
// second is welcomed.
//
// A mark is [sender id, epoch, sequence, chain]: everything of that stream up to the sequence, that was meant for this
// receiver, is durable there. acked is the mark that the sender knows to be acknowledged (all zero: none); streams are [sender id, epoch]
// pairs whose marks it asks for, at least its own. WELCOME.marks has those of them that the receiver knows, in any order;
// a stream that it has never seen is left out.
// A sender does not send again what a mark covers. It compares the mark's chain with its own
// at that sequence: if they differ, the receiver has other data under the same names, and the sender begins a new epoch.
//
// chain is a 64-bit checksum over a stream's chunks, in the order in which the receiver took them, without those
// that it dropped as known already. Before the first chunk it is 0. A chunk's sequence (8 bytes), crc (4) and length (4),
// each with the least significant byte first, are 16 bytes; the next chain is FNV-1a of them that goes on from the last:
//
//	h = chain, or 14695981039346656037 if chain is 0
//	for each of the 16 bytes b:  h = (h XOR b) * 1099511628211  modulo 2^64
//	chain = h
//
// For a gap crc and length are 0. Example: the chunk "123456789" with sequence 1 gives ae677b218d522787, a gap with sequence 3
// behind it 2573cc909f646884.
//
// WELCOME.limits is [largest body in bytes, most chunks of a batch, silence in ms after which the receiver closes,
// codecs as a bit set of 1<<codec; codec 0 is always allowed]. The sender takes only a body limit of 3 MiB to 8 MiB, 1 to
// 65536 chunks and a silence of at least 1000 ms. credit is as in ACK. features are names that both sides may use, and WELCOME has
// those of HELLO's that are in use. There is one: "probe" in a HELLO says that the peer only asks how things are; it sends no
// BATCH, replaces no connection, and is no clone. receiver is bin of 16 bytes, made once at random and kept with the
// marks: by it a sender that has several receivers tells them apart, and notices one whose marks are gone. name is that of the
// receiving machine and time what its clock says, both for people. These three may be missing.
//
// # Batches
//
// BATCH.number is 1, 2, 3 ... within the connection. body is bin: head, then payload; crc is that of the head,
// body length is of both, decompressed. The codecs: 0 none, body as it is; 1 s2, one S2 block (not the stream format); 2 zstd, one frame
// without dictionary. Each body is compressed by itself, so that none needs an earlier one. The payload is that of all chunks, in
// order, without anything between; its checksums are the chunks' own, made where the bytes were captured.
//
// A head is [sources, files, writers, rows], each an array of these:
//
//	source [sender id, epoch, host, boot id, first, hops]
//	file   [mount, path, rule, unit]
//	writer [kind, pid, tid, uid, gid, start, comm, exe, unit, container]
//	row    [sequence, source, file, writer, handle, offset, time, clock, flags, records, crc, length, marks, gap]
//
// A row is a chunk: at most 1 MiB of what one writer wrote through one open file, or a gap. source, file and writer are
// places in the tables counted from 1; 0 is none, allowed for file and writer of a gap only. sequence and time are differences from the
// row before (from 0 in the first), modulo 2^64, written as signed numbers. length is the chunk's part of the payload in bytes, crc
// that part's checksum. marks and gap may be nil or, at the end of the row, missing.
//
//	source  sender id, epoch  the stream of the sequence; behind a relay not that of HELLO
//	        host, boot id     the machine's name; /proc/sys/kernel/random/boot_id there
//	        first             the id of the sender that captured it, where sender id is another: the same data can come by
//	                          several ways, in a stream for each, and (first, epoch, sequence) names it on all of them. 16 bytes
//	                          of zero, or missing: sender id itself
//	        hops              the ids of the relays that it has passed, in order, 16 bytes each, in one bin; 16 at most. May be
//	                          missing: none. A relay that finds itself among them refuses the batch with NACK 11
//	file    mount             the mount's name in the sender's configuration
//	        path              relative to the mount, slashes between names, any bytes but NUL
//	        rule              the name of the rule that decided
//	        unit              what a record is: 0 line, 1 write, 2 binary, 3 framed; see below
//	writer  kind              what is known: 0 unknown (nobody was seen, the rest is zero or empty), 1 opener (the process that
//	                          opened the file), 2 thread (the very thread that wrote)
//	        pid, tid          in the sender's pid namespace; 0 not known
//	        uid, gid          ids of the file-system request
//	        start             start time of the thread in clock ticks since boot (/proc/TID/stat, field 22); 0 not known
//	        comm, exe         /proc/PID/comm, /proc/PID/exe
//	        unit, container   systemd unit and container id by the cgroup; empty: none
//	row     handle            one open file, never given again by the sender
//	        offset            where in what was written through the handle the chunk begins, in bytes
//	        time              of the chunk; the marks may say more
//	        clock             of what: 0 seen (by the sender, at or after the write), 1 written (while the writer waited)
//	        flags             bits: 1 continues, the first record began in an earlier chunk; 2 continued, the last record goes on in
//	                          a later one; 4 below, written while the directory was not mounted; 8 last, the handle ends here
//	        records           how many records end in the chunk
//	        marks             [length, time, length, time ...]: lengths in bytes add up to the row's, times are
//	                          signed differences in ns from the row's; what they stand for depends on the unit
//	        gap               [first, reason, bytes, records]; a gap has length 0 and crc 0
//
// Numbers of unit, kind, clock and reason, and bits of flags, that a receiver does not know are no error: it keeps them or
// takes a unit as binary.
//
// How payload is cut into records:
//
//	0 line    after each LF, which belongs to the line; what is left behind the last LF is a record too. marks, if there
//	          are any, are one for each write(2); a line has the time of the write that ended it
//	1 write   one record for each mark, with its time; without marks the whole chunk is one
//	2 binary  the whole chunk
//	3 framed  as 1: records of any bytes, such as joined lines, or lines with other ends
//
// A record longer than a chunk comes in pieces: the last of a chunk with flag 2 and the first of the next chunk of the
// same sender and handle with flag 1 are one. Chunks of one handle come in order. Offsets have holes where a
// filter on the sender took something out, and a filter may make a chunk longer or shorter than what was written.
//
// A gap stands for data that will never come: at the sequences first to that of its row (first is not above it) of its
// stream. bytes and records say how much, 0 if that is not known. The file, the writer and the other fields are as far as
// they are known. Why: 1 expired, 2 queue_full, 3 damaged (queue or spool), 4 too_long, 5 spool_lost (with power), 6 refused (by a
// receiver), 7 purged (by the operator), 8 limited (beyond a rate or quota).
//
// A receiver must tolerate any order of sequences between streams, and drop chunks whose sequence its mark of their stream covers: after
// a reconnect, and through relays, they come again. Within a stream sequences grow. A hole in the sequences is no loss (chunks may be
// routed elsewhere); loss is always a gap.
//
// # Acknowledgements
//
// ACK.through is the number of the last batch that the receiver answers for, with all before it. credit is how many bytes of
// bodies (decompressed) may be under way in batches behind through; one batch may always be sent when none is under way, unless
// credit is 0. The same through may come again with another credit. A sender that exceeds the credit is refused.
//
// NACK refuses the handshake (number 0) or one batch; the receiver closes behind it. text is for people. On 2 the sender begins a
// new epoch, on 6 it gives the batch up and sends a gap, otherwise it comes back later. PONG repeats PING's token at
// once; a sender that has nothing to send pings three times as often as the receiver would close, and one that hears nothing for as long (or what it is configured to) closes
// too: a receiver that needs long to store sends PING meanwhile. GOAWAY: the other side
// finishes what is under way, begins nothing new, closes, and comes back after retry milliseconds, 0 if it may choose. A sender
// that ends says GOAWAY and closes; one that is killed, or has no time left to finish a BATCH, closes inside a frame, which is no fault:
// nothing of it counts, and it comes again. The codes of NACK and GOAWAY:
//
//	1 no common version   2 new epoch required   3 busy (too many connections, or come back later)
//	4 malformed           5 bad data (a payload without its checksum)
//	6 not taken (and never will be)              7 over limit (or credit, or too slow)
//	8 denied              9 going down           10 superseded (by a newer connection)
//	11 loop (the data has been here before, or has passed 16 relays)
//
// # A receiver, step by step
//
//  1. Read HELLO; look the marks of its streams up; answer WELCOME. Codecs 1 says: nothing compressed.
//  2. Read frames. Answer PING. Ignore PONG, GOAWAY and types from 64 up. At the end of the stream, wait for the next sender.
//  3. Of a BATCH check the number, the head's crc and each chunk's; drop the chunks that marks cover; go over the others
//     in order and advance their streams' marks: sequence, and chain.
//  4. Store the chunks and the marks in one transaction. With marks stored later than chunks, a crash between brings
//     chunks twice; stored earlier, it loses some.
//  5. Send ACK with the batch's number and a credit, such as 8 MiB. If storing failed, try again, or close without it.
//
// # Limits
//
//	BATCH frame             8523776 bytes  MaxFrame: the largest body, and what compressing the incompressible adds
//	other frames            65536 bytes    MaxControl: a WELCOME with the most marks fits
//	before HELLO            65536 bytes    a stray peer costs no more
//	body                    8 MiB          MaxBody, or what WELCOME says, at least 3 MiB, MinBody: a chunk with its marks and names fits
//	chunk's payload         1 MiB          record.MaxChunk: what one peer can make the other hold at once
//	chunks of a batch       65536          MaxChunks, or what WELCOME says; a row of 13 bytes becomes about 190 in memory
//	marks of a batch        65536          MaxMarks: 2 bytes become 16 in memory
//	path; other names       64 KiB; 4 KiB  MaxPath, MaxName: PATH_MAX is 4096, and paths can be deeper by openat
//	streams of a HELLO      1024           MaxStreams; marks of a WELCOME
//	versions, features      64 each        a feature has at most 64 bytes
//	declared array, bytes   what is left   of the frame: nothing is allocated for bytes that have not come
//	depth                   none           unknown elements are counted, not descended into
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
