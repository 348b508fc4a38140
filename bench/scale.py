#!/usr/bin/env python3
"""What more threads and more processes cost on one Redis: CPU per grant, Redis commands per grant, and whether a lock is
among the twenty functions that take most (with Linux's perf, where it is there). Prints a table, and keeps it in
bench/results/scale.md.

    ROUNDS=3 SUBJECTS=500000 GATEWAY=path bench/scale.py

Functions have names in a binary that was built with CARGO_PROFILE_RELEASE_STRIP=none. Nothing is
bound to a core here. CPU per grant says more than grants per second, for client, upstream and Redis share the machine.
"""

import concurrent.futures
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

import count
import run
import stand

# Threads of a process, and processes.
SHAPES = [(1, 1), (2, 1), (4, 1), (1, 2), (1, 4)]
WORKS = ["no-factor", "code"]
CONNECTIONS = 64
TOP = 20


class Scale(run.Bench):
    """Gateways on one Redis, all on all cores."""

    def __init__(self):
        super().__init__()
        self.proxy_core = self.other_core = ",".join(map(str, sorted(os.sched_getaffinity(0))))

    def together(self, names, work):
        """Has each of some gateways serve at once; returns grants per second, and CPU µs per grant."""
        before = [stand.cpu_ns(self.pids[name]) for name in names]
        with concurrent.futures.ThreadPoolExecutor() as clients:
            of = lambda name: self.wrk(name, work, "/oauth2/token", connections=CONNECTIONS // len(names))
            done = list(clients.map(of, names))
        spent = sum(stand.cpu_ns(self.pids[name]) - then for name, then in zip(names, before))
        return sum(rate for _, rate, _ in done), spent / sum(requests for requests, _, _ in done) / 1000


def commands(redis, port, request):
    """How many commands of its own a gateway sends to Redis for a grant."""
    grants = 20
    with socket.create_connection(("127.0.0.1", redis), timeout=5) as connection:
        connection.sendall(b"MONITOR\r\n")
        connection.recv(65536)
        client, seen = count.Client(port), b""
        for n in range(grants):
            client.ask(request(n))
        with socket.create_connection(("127.0.0.1", redis)) as mark:
            mark.sendall(b"ECHO over\r\n")
        while b'"ECHO"' not in seen:
            seen += connection.recv(65536)
    sent = [line for line in seen.split(b"\r\n") if line.startswith(b"+") and b"lua]" not in line and b'"ECHO"' not in line]
    return len(sent) / grants


def hottest(pid, serve):
    """The functions that take most of a process's user time while it serves."""
    data = stand.WORK / "perf.data"
    recording = subprocess.Popen(["perf", "record", "-qe", "cpu-clock:u", "-p", str(pid), "-o", data], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    serve()
    recording.send_signal(signal.SIGINT)
    recording.wait()
    report = ["perf", "report", "-i", data, "--no-children", "--stdio", "--sort", "sym"]
    lines = stand.run(*report, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()
    return [line.split("] ", 1)[1].strip() for line in lines if re.match(r" +[\d.]+%", line)][:TOP]


def main():
    binary = stand.build()
    rows = [["threads", "processes", "work", "grants per second", "CPU µs per grant", "Redis commands per grant", f"locks among the top {TOP}"]]
    with Scale() as place:
        upstream, (_, redis) = place.upstream(), place.redis()
        store = f"redis://127.0.0.1:{redis}"
        first, codes = stand.seed(store, run.SUBJECTS)
        for shape, (threads, processes) in enumerate(SHAPES):
            names = [f"gateway-{threads}-{processes}-{n}" for n in range(processes)]
            for number, name in enumerate(names):
                place.pids[name], place.ports[name] = place.gateway(name, binary, upstream, store, threads=threads)
                # A code works once: each has subjects of its own.
                place.offsets[name] = int(run.SUBJECTS / len(SHAPES) * (shape + number / processes))
            for work in WORKS:
                samples = []
                for number in range(run.ROUNDS + 1):
                    print(f"{threads} threads, {processes} processes, {work}: round {number} …", file=sys.stderr)
                    samples.append(place.together(names, work))
                rate, spent = (statistics.median(column) for column in zip(*samples[1:]))
                code = lambda: codes[int(time.time()) // 30 - first]
                subject = place.offsets[names[0]] + 1
                ask = {
                    "no-factor": lambda n: count.password("nobody"),
                    "code": lambda n: count.password(f"bench{subject + n}", f"X-Drupal-TFA: {code()}\r\n"),
                }[work]
                sent = commands(redis, place.ports[names[0]], ask)
                locks = ""
                if work == "no-factor" and shutil.which("perf"):
                    top = hottest(place.pids[names[0]], lambda: place.together(names, work))
                    locks = ", ".join(name for name in top if re.search(r"(?<!c)lock|mutex|futex", name, re.I)) or "none"
                rows.append([str(threads), str(processes), work, f"{rate:.0f}", f"{spent:.1f}", f"{sent:.0f}", locks])
    run.keep("scale", run.table(*rows))


if __name__ == "__main__":
    main()
