// Package capture takes custody of what is written: it keeps spools, follows them, assembles records and registers chunks with the next stage.
//
// Two kinds of spool lie in one folder, both named by a 64-bit number in hexadecimal:
//
//	NUMBER.raw  one open-capture handle: a header block, then the bytes as the kernel appended them
//	NUMBER.log  a segment of the write-capture log: the payloads of many handles, back to back
//	NUMBER.idx  its index: one fixed-size row per write, saying whose the payload is
//
// A spool describes itself, so that after any crash the folder and the queue are enough to go on: the queue says
// how far each handle is registered, the spools say what is there.
package capture
