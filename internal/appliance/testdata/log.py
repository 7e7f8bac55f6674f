# Logs numbered lines through a handler that rotates, until SIGTERM: log.py ID FILE SECONDS
import logging, logging.handlers, signal, sys, time

ident, path, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
failed, first, stop = 0, "", False


class Handler(logging.handlers.RotatingFileHandler):
    def handleError(self, record):
        global failed, first
        failed += 1
        first = first or repr(sys.exc_info()[1])


def term(*_):
    global stop
    stop = True


signal.signal(signal.SIGTERM, term)
handler = Handler(path, maxBytes=5000, backupCount=3)
log = logging.getLogger()
log.addHandler(handler)
log.setLevel(logging.INFO)
n, longest = 0, 0.0
while not stop:
    n += 1
    begin = time.monotonic()
    log.info("%s %d", ident, n)
    longest = max(longest, time.monotonic() - begin)
    time.sleep(pause)
with open(f"/var/tmp/{ident}.result", "w") as out:
    print(n, failed, int(longest * 1000), first, file=out)
