#!/usr/bin/python3
"""Puts JSON records into an SQLite database and acknowledges what is committed. FTFUSE_FORMAT: json.

  command: [/usr/local/lib/ftfuse/store.py, /var/lib/shop/lines.db]
  ack: true

A record comes again when this program ended before it could acknowledge it. Sender, epoch, handle and offset name it
for good, so the second one is ignored.
"""
import json
import os
import select
import sqlite3
import sys

BATCH = 1000  # lines in a transaction, at most


def rows(lines):
    for line in lines:
        r = json.loads(line)
        if "data" in r:  # else a gap, or bytes that are no text: data_base64
            yield r["sender"], r["epoch"], r["handle"], r["offset"], r["time"], r["path"], r["data"]


def main():
    db = sqlite3.connect(sys.argv[1])
    db.execute("create table if not exists lines (sender, epoch, handle, offset, time, path, data,"
               " primary key (sender, epoch, handle, offset))")
    acks = os.fdopen(3, "w")
    done, waiting, rest = 0, [], b""
    while True:
        chunk = os.read(0, 1 << 20)
        *lines, rest = (rest + chunk).split(b"\n")
        waiting += lines
        more = select.select([0], [], [], 0)[0] if chunk else []
        while len(waiting) >= BATCH or waiting and not more:
            with db:  # one transaction
                db.executemany("insert or ignore into lines values (?, ?, ?, ?, ?, ?, ?)", rows(waiting[:BATCH]))
            done += len(waiting[:BATCH])
            waiting = waiting[BATCH:]
            print(done, file=acks, flush=True)
        if not chunk:
            return


main()
