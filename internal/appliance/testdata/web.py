# Runs nginx with its access log in FILE and asks it for numbered pages until SIGTERM: web.py ID FILE SECONDS
import http.client, os, signal, subprocess, sys, time

ident, path, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
home = f"/var/tmp/{ident}"
os.makedirs(home, exist_ok=True)
places = " ".join(f"{p}_temp_path {home}/{p};" for p in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
with open(f"{home}/nginx.conf", "w") as conf:
    conf.write(f"""
daemon off; user root; worker_processes 1; pid {home}/pid; error_log {home}/errors warn;
events {{}}
http {{
  log_format numbered '{ident} $arg_n'; access_log {path} numbered; {places}
  server {{ listen 127.0.0.1:8080; location / {{ return 200 ok; }} }}
}}
""")
stop = False


def term(*_):
    global stop
    stop = True


signal.signal(signal.SIGTERM, term)
server = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{home}/nginx.conf"])
n, longest, failed, conn = 0, 0.0, 0, None
while not stop:
    try:
        if conn is None:
            conn = http.client.HTTPConnection("127.0.0.1", 8080)
            conn.connect()
    except ConnectionError:  # not up yet
        if server.poll() is not None:
            sys.exit(1)
        conn = None
        time.sleep(0.02)
        continue
    n += 1
    begin = time.monotonic()
    try:
        conn.request("GET", f"/?n={n}")
        conn.getresponse().read()
    except (http.client.HTTPException, ConnectionError):
        if not stop:
            failed += 1
        conn = None
    longest = max(longest, time.monotonic() - begin)
    time.sleep(pause)
server.send_signal(signal.SIGQUIT)  # orderly
server.wait()
with open(f"{home}/errors") as f:
    errors = [l.strip() for l in f if "failed" in l]
with open(f"/var/tmp/{ident}.result", "w") as out:
    print(n, failed + len(errors), int(longest * 1000), *errors[:1], file=out)
