#!/usr/bin/env python3
"""Instructions in user mode for each request, by callgrind: a check that does not depend on the machine's load.

`make bench-count` compares with `counts.json` and fails when a path has grown by more than 3 %; with `UPDATE=1` it
writes that file anew. Counts depend on the compiler and its libraries, which is why the file names them.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import stand

KEPT = stand.HERE / "counts.json"
GROWTH_MAX = 0.03
WARM_UP, REQUESTS = 200, 1000
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n"


def post(body, more=""):
    return f"POST /oauth2/token HTTP/1.1\r\nHost: bench\r\n{FORM}{more}Content-Length: {len(body)}\r\n\r\n{body}"


def password(user, more=""):
    return post(f"grant_type=password&username={user}&password=secret&client_id=bench", more)


class Client:
    """One connection that is kept."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=60).makefile("rwb")

    def ask(self, request):
        """Sends a request and reads its answer; returns the status."""
        self.stream.write(request.encode())
        self.stream.flush()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.stream.readline()
            if not line:
                sys.exit(f"the gateway closed the connection after {head!r}")
            head += line
        self.stream.read(int(re.search(rb"(?i)^content-length: *(\d+)", head, re.M)[1]))
        return int(head.split()[1])


def collected(pid):
    """Instructions since they were last set to zero, of all threads."""
    for old in stand.WORK.glob("callgrind.*"):
        old.unlink()
    stand.run("callgrind_control", "--dump", pid, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for dump in stand.WORK.glob("callgrind.*"):
            if totals := re.search(r"^totals: (\d+)", dump.read_text(), re.M):
                return int(totals[1])
        time.sleep(0.05)
    sys.exit("callgrind does not dump")


def count(pid, port, requests, status):
    client = Client(port)
    ask = lambda: client.ask(next(requests))
    for _ in range(WARM_UP):
        ask()
    stand.run("callgrind_control", "--zero", pid, stdout=subprocess.DEVNULL)
    answers = {ask() for _ in range(REQUESTS)}
    instructions = collected(pid)
    if answers != {status}:
        sys.exit(f"answers with {answers} in the place of {status}")
    return instructions // REQUESTS


def repeated(request):
    while True:
        yield request


def with_codes(first, codes):
    subject = 0
    while True:
        subject += 1
        code = codes[int(time.time()) // 30 - first]
        yield password(f"bench{subject}", f"X-Drupal-TFA: {code}\r\n")


def measure():
    stand.install("valgrind", "nginx-light", "redis-server")
    binary = stand.build()
    with stand.Stand() as place:
        upstream = place.upstream()
        _, redis = place.redis()
        store = f"redis://127.0.0.1:{redis}"
        first, codes = stand.seed(store, WARM_UP + REQUESTS)
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={stand.WORK}/callgrind.%p"]
        # Valgrind makes everything late; what is measured is not to be cut off.
        pid, port = place.gateway("counted", binary, upstream, store, 'header_timeout_secs = 300', under=callgrind)
        works = {
            "GET 1 KB, a page": (repeated(get("/1k")), 200),
            "GET 1 KB, JSON": (repeated(get("/1k.json")), 200),
            "POST token, another grant": (repeated(post("grant_type=client_credentials&client_id=bench&client_secret=s")), 200),
            "password grant, no factor": (repeated(password("nobody")), 200),
            "password grant, challenged": (repeated(password("bench1")), 401),
            "password grant, correct code": (with_codes(first, codes), 200),
        }
        return {work: count(pid, port, *how) for work, how in works.items()}


def main():
    counts = measure()
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"instructions": {}}
    print("| work | instructions | kept | |\n|---|---|---|---|")
    grown = []
    for work, now in counts.items():
        before = kept["instructions"].get(work)
        change = now / before - 1 if before else 0
        print(f"| {work} | {now:,} | {before or 0:,} | {change:+.1%} |")
        if change > GROWTH_MAX:
            grown.append(work)
    if os.environ.get("UPDATE"):
        KEPT.write_text(json.dumps({"compiler": compiler, "instructions": counts}, indent=2) + "\n")
        return
    if kept.get("compiler") != compiler:
        print(f"the kept counts are of {kept.get('compiler')}, this is {compiler}", file=sys.stderr)
    if grown:
        sys.exit(f"more than {GROWTH_MAX:.0%} more: {', '.join(grown)}")


if __name__ == "__main__":
    main()
