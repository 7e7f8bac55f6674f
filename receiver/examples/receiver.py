#!/usr/bin/env python3
"""A receiver in one file of plain Python: takes what ftfuse senders deliver and appends it to a file, each record once.

    receiver.py HOST:PORT FILE

FILE gets a JSON object a line for each record, and after each batch a line {"marks": ...}, which is the commit: what
stands behind the last one, after a crash, is cut off at the next start, and the sender delivers it again. Bytes that are not
UTF-8 become lone surrogates (surrogateescape). One sender is served at a time. Written from docs/wire.md alone.
"""
import json
import os
import socket
import struct
import sys

HELLO, WELCOME, BATCH, ACK, NACK, PING, PONG, GOAWAY = range(1, 9)
OPTIONAL = 64  # unknown types from here on are ignored
NO_VERSION, MALFORMED, BAD_DATA = 1, 4, 5
LINE, WRITE, BINARY, FRAMED = range(4)
CONTINUES, CONTINUED, BELOW = 1, 2, 4
REASONS = [None, "expired", "queue_full", "damaged", "too_long", "spool_lost", "refused", "purged", "limited"]
BODY, CHUNKS, IDLE_MS, CREDIT, MAX_FRAME, MAX_CONTROL = 4 << 20, 8192, 60_000, 8 << 20, 8523776, 65536


class Refused(Exception):
    """Ends the connection with a NACK: code, number of the batch or 0, text."""


def make_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(make_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = TABLE[(crc ^ b) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def next_chain(chain, seq, crc, length):
    h = chain or 14695981039346656037
    for b in struct.pack("<QII", seq, crc, length):
        h = (h ^ b) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return h


def unpack(b, at=0):
    """Reads one msgpack value; returns it and where the next begins. Floats and extensions, which nothing uses, are None."""
    def number(kind):
        return struct.unpack_from(">" + kind, b, at)[0], at + struct.calcsize(kind)

    def run(n, start):
        if start + n > len(b):
            raise ValueError("got the end of the frame, want %d bytes" % n)
        return b[start:start + n], start + n

    def values(n, start):
        out = []
        for _ in range(n):
            v, start = unpack(b, start)
            out.append(v)
        return out, start

    c, at = b[at], at + 1
    if c <= 0x7F or c >= 0xE0:
        return (c if c <= 0x7F else c - 256), at
    if c <= 0x8F:
        return values(2 * (c & 15), at)
    if c <= 0x9F:
        return values(c & 15, at)
    if c <= 0xBF:
        return run(c & 31, at)
    if c in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[c], at
    if c in (0xC4, 0xC5, 0xC6):
        return run(*number("BHI"[c - 0xC4]))
    if c in (0xC7, 0xC8, 0xC9):
        n, at = number("BHI"[c - 0xC7])
        return None, run(n + 1, at)[1]
    if c in (0xCA, 0xCB):
        return None, run(4 << c - 0xCA, at)[1]
    if 0xCC <= c <= 0xD3:
        return number("BHIQbhiq"[c - 0xCC])
    if 0xD4 <= c <= 0xD8:
        return None, run(1 + (1 << c - 0xD4), at)[1]
    if 0xD9 <= c <= 0xDB:
        return run(*number("BHI"[c - 0xD9]))
    if 0xDC <= c <= 0xDF:
        n, at = number("HI"[c & 1])
        return values(n * (2 if c >= 0xDE else 1), at)
    raise ValueError("got code %#x, want a msgpack value" % c)


def pack(v):
    """Writes numbers from 0 on, bytes and lists."""
    if isinstance(v, bytes):
        return struct.pack(">BI", 0xC6, len(v)) + v
    if isinstance(v, list):
        return struct.pack(">BI", 0xDD, len(v)) + b"".join(map(pack, v))
    return struct.pack(">BQ", 0xCF, v)


class Store:
    """FILE: records, and the marks by which senders resume, as [sequence, chain] by (sender, epoch)."""

    def __init__(self, name):
        self.marks, end = {}, 0
        self.file = open(name, "a+b")
        self.file.seek(0)
        for line in self.file:
            if not line.endswith(b"\n"):
                break
            if line.startswith(b'{"marks"'):
                for sender, epoch, seq, chain in json.loads(line)["marks"]:
                    self.marks[bytes.fromhex(sender), epoch] = [seq, chain]
                end = self.file.tell()
        self.file.truncate(end)

    def put(self, rows, marks):
        """Appends rows and marks so that they are either both there or neither."""
        rows.append({"marks": [[s.hex(), e, m[0], m[1]] for (s, e), m in marks.items()]})
        try:
            self.file.write("".join(json.dumps(r) + "\n" for r in rows).encode())
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as e:
            sys.exit("receiver.py: error: %s: %s" % (self.file.name, e))  # the next start cuts off what is there by half
        self.marks.update(marks)


def records(unit, data, time, marks):
    """Cuts a chunk's payload: yields each record, where it begins, and its time."""
    pairs = list(zip(marks[::2], marks[1::2]))
    if not data:
        return
    if unit == LINE:
        at, start, marked = time, 0, 0
        while start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            while pairs and marked < end:
                length, delta = pairs.pop(0)
                marked, at = marked + length, time + delta
            yield data[start:end], start, at
            start = end
    elif unit in (WRITE, FRAMED) and pairs:
        start = 0
        for length, delta in pairs:
            yield data[start:start + length], start, time + delta
            start += length
    else:
        yield data, 0, time


def text(b):
    return b.decode("utf-8", "surrogateescape")


def describe(source, file, writer, handle):
    d = {"host": text(source[2]), "sender": source[0].hex(), "epoch": source[1], "handle": handle}
    if file:
        d.update(mount=text(file[0]), path=text(file[1]), rule=text(file[2]))
    if writer:
        d.update(kind=writer[0], pid=writer[1], tid=writer[2], uid=writer[3], gid=writer[4], start=writer[5],
                 comm=text(writer[6]), exe=text(writer[7]), unit=text(writer[8]), container=text(writer[9]))
    return d


def take(store, frame, number):
    """Stores a BATCH."""
    _, got, codec, crc, head_length, body_length, body = frame[:7]
    if got != number or codec != 0 or len(body) != body_length or body_length > BODY:
        raise Refused(MALFORMED, number, "got batch %d, codec %d, %d bytes" % (got, codec, len(body)))
    head, at = body[:head_length], head_length
    if crc32c(head) != crc:
        raise Refused(MALFORMED, number, "head: wrong checksum")
    sources, files, writers, rows = unpack(head)[0][:4]
    seq = time = 0
    out, marks = [], {}
    for row in rows:
        (seq_step, source, file, writer, handle, offset, time_step, _, flags, _, crc, length) = row[:12]
        marking, gap = (row[12:14] + [None, None])[:2]
        seq, time = (seq + seq_step) % 2**64, time + time_step
        data, at = body[at:at + length], at + length
        if len(data) != length or (not gap and crc32c(data) != crc):
            raise Refused(BAD_DATA, number, "chunk %d: wrong checksum" % seq)
        source, file, writer = sources[source - 1], file and files[file - 1], writer and writers[writer - 1]
        stream = (source[0], source[1])
        mark = marks.get(stream) or store.marks.get(stream, [0, 0])
        if seq <= mark[0]:
            continue  # known already
        marks[stream] = [seq, next_chain(mark[1], seq, crc, length)]
        about = dict(describe(source, file, writer, handle), seq=seq, offset=offset)
        if gap:
            reason = REASONS[gap[1]] if gap[1] < len(REASONS) else gap[1]
            out.append(dict(about, time=time, gap={"first": gap[0], "last": seq, "reason": reason, "bytes": gap[2], "records": gap[3]}))
            continue
        for record, start, when in records(file[3], data, time, marking or []):
            out.append(dict(about, time=when, offset=offset + start, data=text(record), below=bool(flags & BELOW),
                            continues=bool(start == 0 and flags & CONTINUES),
                            continued=bool(start + len(record) == length and flags & CONTINUED)))
    store.put(out, marks)


class Connection:
    def __init__(self, sock, store):
        self.sock, self.store = sock, store
        sock.settimeout(IDLE_MS / 1000)
        self.stream = sock.makefile("rb")

    def send(self, *frame):
        b = pack(list(frame))
        self.sock.sendall(struct.pack(">I", len(b)) + b)

    def frame(self, limit):
        """Returns the next frame, or None at the end."""
        prefix = self.stream.read(4)
        if len(prefix) < 4:
            return None
        length, = struct.unpack(">I", prefix)
        if not 0 < length <= limit:
            raise Refused(MALFORMED, 0, "got a frame of %d bytes, want 1 to %d" % (length, limit))
        b = self.stream.read(length)
        return unpack(b)[0] if len(b) == length else None

    def serve(self):
        hello = self.frame(MAX_CONTROL)
        if hello is None:
            return
        if hello[0] != HELLO or hello[1] != b"ftfuse":
            raise Refused(MALFORMED, 0, "this is an ftfuse receiver: want HELLO")
        if 1 not in hello[2]:
            raise Refused(NO_VERSION, 0, "got versions %r, want 1" % hello[2])
        known = [[s, e] + self.store.marks[s, e] for s, e, *_ in hello[9] if (s, e) in self.store.marks]
        self.send(WELCOME, 1, known, CREDIT, [BODY, CHUNKS, IDLE_MS, 1], [])
        number = 0
        while frame := self.frame(MAX_FRAME):
            if frame[0] == BATCH:
                number += 1
                take(self.store, frame, number)
                self.send(ACK, number, CREDIT)
            elif frame[0] == PING:
                self.send(PONG, frame[1])
            elif frame[0] not in (PONG, GOAWAY) and frame[0] < OPTIONAL:
                raise Refused(MALFORMED, 0, "got frame type %d from a sender" % frame[0])

    def run(self):
        try:
            self.serve()
        except Refused as r:
            print("receiver.py: refused:", r.args[2], file=sys.stderr)
            self.send(NACK, r.args[0], r.args[1], r.args[2].encode())
        except (ValueError, IndexError, TypeError, struct.error, RecursionError) as e:
            print("receiver.py: malformed frame:", e, file=sys.stderr)
            self.send(NACK, MALFORMED, 0, str(e).encode())


def main():
    if len(sys.argv) != 3 or ":" not in sys.argv[1]:
        sys.exit("usage: receiver.py HOST:PORT FILE")
    host, _, port = sys.argv[1].rpartition(":")
    store = Store(sys.argv[2])
    with socket.create_server((host.strip("[]"), int(port)), family=socket.AF_INET6 if "[" in host else socket.AF_INET) as listener:
        print("receiver.py: listening on %s:%d" % (host, listener.getsockname()[1]), file=sys.stderr, flush=True)
        while True:
            sock, _ = listener.accept()
            with sock:
                try:
                    Connection(sock, store).run()
                except OSError as e:
                    print("receiver.py: connection:", e, file=sys.stderr)


if __name__ == "__main__":
    main()
