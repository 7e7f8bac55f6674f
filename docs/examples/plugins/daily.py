#!/usr/bin/python3
"""Compresses lines into a file a day, DIRECTORY/YYYYMMDD.gz, and acknowledges what is in it. FTFUSE_FORMAT: raw.

  command: [/usr/local/lib/ftfuse/daily.py, /var/log/archive]
  ack: true

Each batch is a gzip member of its own, written and synced before it is acknowledged: zcat reads them as one. After a
crash a member may be half there; it is cut off at the next start, and its lines come again.
"""
import gzip
import os
import select
import sys
import time
import zlib

BATCH = 1 << 20  # bytes in a member, about
WAIT = 5.0  # seconds that lines wait for more


def whole(name):
    """Returns how many bytes of a file are whole members."""
    end, size = 0, os.path.getsize(name)
    with open(name, "rb") as f:
        while end < size:
            f.seek(end)
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                block = f.read(1 << 16)
                if not block:
                    return end
                try:
                    member.decompress(block)
                except zlib.error:
                    return end
            end = f.tell() - len(member.unused_data)
    return end


def add(name, data):
    begin = os.path.getsize(name) if os.path.exists(name) else 0
    with open(name, "ab") as f:
        try:
            f.write(gzip.compress(data, 6))
            f.flush()
            os.fsync(f.fileno())
        except OSError:
            os.truncate(name, begin)
            raise


def main():
    directory, opened = sys.argv[1], None
    acks = os.fdopen(3, "w")
    done, held, more = 0, b"", True
    begun = time.monotonic()
    while more or held:
        wait = max(0, begun + WAIT - time.monotonic()) if b"\n" in held else WAIT
        ready = select.select([0], [], [], wait)[0] if more else []
        if ready:
            chunk = os.read(0, 1 << 20)
            more = chunk != b""
            if not held:
                begun = time.monotonic()
            held += chunk
        end = held.rfind(b"\n") + 1 if more else len(held)
        if end and (len(held) >= BATCH or not more or time.monotonic() - begun >= WAIT):
            name = os.path.join(directory, time.strftime("%Y%m%d.gz"))
            if name != opened and os.path.exists(name):
                os.truncate(name, whole(name))
            opened = name
            add(name, held[:end])
            done += held.count(b"\n", 0, end) + (held[end - 1:end] != b"\n")
            held = held[end:]
            begun = time.monotonic()
            print(done, file=acks, flush=True)


main()
