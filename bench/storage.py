#!/usr/bin/env python3
"""What enrolments take, and whether grants stay as fast while a store grows from a thousand subjects to ten millions. Prints
a table, and keeps it in bench/results/storage.md.

    SIZES="1000 1000000 10000000" STORES="redis embedded" GATEWAY=path bench/storage.py

One client asks for one grant after the other, each for another subject, anywhere in the store.
"""

import os
import random
import re
import socket
import sys
import time

import count
import run
import stand

SIZES = [int(size) for size in os.environ.get("SIZES", "1000 100000 1000000 10000000").split()]
STORES = os.environ.get("STORES", "redis embedded").split()
GRANTS = 1000


def redis_bytes(port):
    """Bytes of memory that Redis has for its data."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"INFO memory\r\n")
        answer = b""
        while b"used_memory:" not in answer:
            answer += connection.recv(65536)
    return int(re.search(rb"used_memory:(\d+)", answer)[1])


def file_bytes():
    return sum(part.stat().st_size for part in stand.WORK.glob("store.db*"))


def timed(port, requests, status):
    """Microseconds from a request to its answer: the median and the 99th percentile."""
    client, took = count.Client(port), []
    for request in requests:
        begin = time.perf_counter()
        answered = client.ask(request())
        took.append((time.perf_counter() - begin) * 1e6)
        if answered != status:
            sys.exit(f"an answer with {answered} in the place of {status}")
    took.sort()
    return f"{took[len(took) // 2]:.0f} / {took[len(took) * 99 // 100]:.0f}"


def grants(port, older, size, first, codes):
    """The three kinds of grants, each for other subjects. Codes are given by those that are new: one works once."""

    def with_code(subject):
        code = codes[int(time.time()) // 30 - first]
        return count.password(f"bench{subject}", f"X-Drupal-TFA: {code}\r\n")

    some = lambda older: random.sample(range(older + 1, size + 1), min(GRANTS, size - older))
    return [
        timed(port, [lambda: count.password("nobody")] * GRANTS, 200),
        timed(port, [lambda s=subject: count.password(f"bench{s}") for subject in some(0)], 401),
        timed(port, [lambda s=subject: with_code(s) for subject in some(older)], 200),
    ]


def main():
    binary = stand.build()
    kinds = [f"{kind}, p50 / p99 µs" for kind in ("no factor", "challenged", "correct code")]
    rows = [["store", "subjects", "bytes per subject", *kinds]]
    with stand.Stand() as place:
        upstream, (_, redis) = place.upstream(), place.redis()
        stores = {
            "redis": (f"redis://127.0.0.1:{redis}", lambda: redis_bytes(redis)),
            "embedded": (f"embedded:{stand.WORK}/store.db", file_bytes),
        }
        for store in STORES:
            url, taken = stores[store]
            enrolled, empty = 0, taken()
            for size in SIZES:
                print(f"{store}: enrolling up to {size} …", file=sys.stderr)
                first, codes = stand.seed(url, size, enrolled + 1)
                each = (taken() - empty) / size
                # A gateway for each size: none has grown warm on a smaller one.
                _, port = place.gateway(f"{store}-{size}", binary, upstream, url)
                timed(port, [lambda: count.password("bench1")] * GRANTS, 401)
                rows.append([store, f"{size:,}", f"{each:.0f}", *grants(port, enrolled, size, first, codes)])
                enrolled = size
    run.keep("storage", run.table(*rows))


if __name__ == "__main__":
    main()
