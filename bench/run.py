#!/usr/bin/env python3
"""CPU time and requests per second of the gateway beside its peers, in one interleaved run; prints tables, and keeps them
in bench/results/latest.md.

    ROUNDS=5 SECONDS_EACH=2 CONNECTIONS=32 SUBJECTS=400000 ONLY="get-1k code latency" GATEWAY=path bench/run.py

The proxy that is measured has one core to itself, and everything else (clients, upstream, Redis) the other one.
"""

import collections
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import time

import stand

ROUNDS = int(os.environ.get("ROUNDS", 5))
SECONDS_EACH = os.environ.get("SECONDS_EACH", "2")
CONNECTIONS = os.environ.get("CONNECTIONS", "32")
SUBJECTS = int(os.environ.get("SUBJECTS", 400000))
IDLE_CONNECTIONS = int(os.environ.get("IDLE_CONNECTIONS", 10000))
# How long nothing has happened when memory is measured.
IDLE_SECONDS = 15
RESULTS = stand.HERE / "results"

# What is measured, with the path that is asked for and who does it.
PAGES = ["direct", "copy", "nginx", "gateway"]
GRANTS = ["nginx", "lua", "gateway", "embedded"]
WORKS = {
    "get-1k": ("GET 1 KB, a page", "/1k", PAGES),
    "get-1k-json": ("GET 1 KB, JSON", "/1k.json", PAGES),
    "get-1m": ("GET 1 MB", "/1m", PAGES),
    "passed": ("POST token, another grant", "/oauth2/token", ["direct", "copy", "nginx", "lua", "gateway"]),
    "no-factor": ("password grant, no factor", "/oauth2/token", GRANTS),
    "challenged": ("password grant, challenged", "/oauth2/token", GRANTS),
    "code": ("password grant, correct code", "/oauth2/token", GRANTS[1:]),
    "tls-1k": ("TLS 1.3 GET 1 KB, kept alive", "/1k", ["nginx-tls", "gateway-tls"]),
    "h2-1k": ("HTTP/2 over TLS, GET 1 KB", "/1k", ["nginx-tls", "gateway-tls"]),
    "handshake": ("TLS 1.3 handshake and GET 1 KB", "/1k", ["nginx-tls", "gateway-tls"]),
}
LATENCIES = {
    "latency": ("GET 1 KB at one connection", ["direct", "nginx", "gateway"]),
    "latency-code": ("correct code at one connection", ["lua", "gateway"]),
    "latency-70": ("GET 1 KB at 70 % of what nginx carries", ["nginx", "gateway"]),
}
ONLY = os.environ.get("ONLY", " ".join([*WORKS, *LATENCIES, "idle", "start"])).split()

# Who is measured against whom, and the most (or, with >, the least) that it may be.
TARGETS = [
    ("get-1k", "nginx", 0.95),
    ("get-1k", "copy", 1.20),
    ("passed", "nginx", 1.00),
    ("no-factor", "lua", 0.60),
    ("challenged", "lua", 0.60),
    ("code", "lua", 0.35),
    ("get-1m", "nginx", 0.50),
    ("tls-1k", "nginx-tls", 0.80),
    ("h2-1k", "nginx-tls", 0.95),
    ("handshake", "nginx-tls", 1 / 1.5),
]


class Bench(stand.Stand):
    """The peers, the gateways and what they stand in front of."""

    def __init__(self):
        cores = sorted(os.sched_getaffinity(0))
        super().__init__((cores[-1], cores[0]))
        self.pids, self.ports, self.offsets = {}, {}, collections.Counter()

    def prepare(self, binary):
        self.upstream_port = self.upstream()
        self.redis_pid, redis = self.redis()
        self.pids["direct"], self.ports["direct"] = 0, self.upstream_port
        self.peers(redis)
        if set(ONLY) - {"idle", "start"}:
            print(f"enrolling {SUBJECTS} subjects …", file=sys.stderr)
        store, file = f"redis://127.0.0.1:{redis}", f"embedded:{stand.WORK}/store.db"
        stand.seed(store, SUBJECTS)
        if any("embedded" in WORKS[work][2] for work in ONLY if work in WORKS):
            stand.seed(file, SUBJECTS)
        certificate, key = self.certificate()
        tls = f'certificate_file = "{certificate}"\nkey_file = "{key}"'
        for name, url, more in [("gateway", store, ""), ("embedded", file, ""), ("gateway-tls", store, tls)]:
            most = 2 * IDLE_CONNECTIONS
            more = f"connections_max = {most}\n{more}\n[limits]\nclient_connections_max = {most}"
            self.pids[name], self.ports[name] = self.gateway(name, binary, self.upstream_port, url, more)
        self.binary = binary

    def peers(self, redis):
        self.ports["copy"] = stand.free_port()
        process = self.start(stand.built_bench("copy"), self.ports["copy"], self.upstream_port, is_proxy=True)
        self.pids["copy"] = process.pid
        stand.until_open(self.ports["copy"])
        upstream = f"upstream up {{ server 127.0.0.1:{self.upstream_port}; keepalive 128; keepalive_requests 1000000000; }}"
        to_upstream = (
            'proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;'
            "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;"
        )
        certificate, key = self.certificate()
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_session_cache shared:tls:10m;"
        for name, listen, more in [("nginx", "", ""), ("nginx-tls", "ssl http2", tls)]:
            port = self.ports[name] = stand.free_port()
            server = f"server {{ listen 127.0.0.1:{port} {listen}; {more} location / {{ {to_upstream} }} }}"
            self.pids[name] = self.nginx(name, server, http=upstream)
            stand.until_open(port)
        port = self.ports["lua"] = stand.free_port()
        modules = "".join(f"load_module /usr/lib/nginx/modules/{name}.so;" for name in ("ndk_http_module", "ngx_http_lua_module"))
        server = f"""server {{ listen 127.0.0.1:{port}; set $redis_port {redis};
          location /oauth2/token {{ client_body_buffer_size 64k; content_by_lua_file {stand.HERE}/peers/token.lua; }}
          location = /upstream {{ internal; proxy_set_header X-Drupal-TFA "";
            {to_upstream.replace("http://up;", "http://up/oauth2/token;")} }} }}"""
        http = f"lua_package_path '/usr/share/lua/5.1/?.lua;;'; {upstream}"
        self.pids["lua"] = self.nginx("lua", server, top=modules, http=http)
        stand.until_open(port)
        with socket.create_connection(("127.0.0.1", redis)) as connection:
            commands = "".join(f"HSET peer:{{bench{n}}} secret {'*' * 20}\r\n" for n in range(1, SUBJECTS + 1))
            stand.pipelined(connection, commands, SUBJECTS)

    def url(self, name, path):
        scheme = "https" if name.endswith("-tls") else "http"
        return f"{scheme}://127.0.0.1:{self.ports[name]}{path}"

    def wrk(self, name, work, path, *options, connections=CONNECTIONS):
        script = [work, stand.WORK / "codes.lua", self.offsets[name]]
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS_EACH}s", *options, "-s", stand.HERE / "requests.lua"]
        output = self.client(*command, self.url(name, path), "--", *script)
        requests = int(re.search(r"(\d+) requests in", output)[1])
        if work == "code":
            self.offsets[name] += requests + int(connections)
            if self.offsets[name] > SUBJECTS:
                sys.exit("more codes than subjects: set SUBJECTS higher")
        bad = int((re.search(r"Non-2xx or 3xx responses: (\d+)", output) or [0, 0])[1])
        # A few more were answered than wrk counted in its time.
        is_void = bad < requests if work == "challenged" and name != "nginx" else bad > 0
        if is_void or "Socket errors" in output:
            sys.exit(f"void: {name} {work}: {bad} of {requests} answers were not 2xx\n{output}")
        return requests, float(re.search(r"Requests/sec: *([\d.]+)", output)[1]), output

    def h2load(self, name, path, *options):
        output = self.client("h2load", "-t1", f"-D{SECONDS_EACH}", "--warm-up-time=0", *options, self.url(name, path))
        done = re.search(r"(\d+) total.* (\d+) succeeded, (\d+) failed", output)
        if int(done[3]):
            sys.exit(f"void: {name}: {output}")
        return int(done[2]), float(re.search(r"([\d.]+) req/s", output)[1]), output

    def handshakes(self, name):
        command = ["openssl", "s_time", "-connect", f"127.0.0.1:{self.ports[name]}", "-new", "-time", SECONDS_EACH, "-www", "/1k"]
        output = self.client(*command)
        done = re.search(r"(\d+) connections in (\d+) real seconds", output)
        return int(done[1]), int(done[1]) / max(int(done[2]), 1), output

    def client(self, *command):
        command = ["taskset", "-c", self.other_core, *command]
        return stand.run(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def measure(self, work, name):
        """Requests per second, and CPU microseconds per request of the proxy and of Redis."""
        path = WORKS[work][1]
        pids = [self.pids[name], self.redis_pid]
        before = [pid and stand.cpu_ns(pid) for pid in pids]
        if work == "h2-1k":
            requests, rate, _ = self.h2load(name, path, "-c4", "-m8")
        elif work == "handshake":
            requests, rate, _ = self.handshakes(name)
        else:
            requests, rate, _ = self.wrk(name, work, path)
        proxy, redis = ((pid and stand.cpu_ns(pid)) - then for pid, then in zip(pids, before))
        return rate, proxy / requests / 1000, redis / requests / 1000

    def latency(self, work, name):
        """Microseconds: the median and the 99th percentile."""
        if work == "latency-70":
            rate = int(0.7 * self.carried)
            log = stand.WORK / "h2load.log"
            log.unlink(missing_ok=True)
            each = max(rate // int(CONNECTIONS), 1)
            self.h2load(name, "/1k", "--h1", f"-c{CONNECTIONS}", f"--rps={each}", f"--log-file={log}")
            took = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
            return took[len(took) // 2], took[len(took) * 99 // 100]
        kind, path = ("code", "/oauth2/token") if work == "latency-code" else ("get-1k", "/1k")
        _, _, output = self.wrk(name, kind, path, "--latency", connections=1)
        unit = {"us": 1, "ms": 1000}
        found = [re.search(rf"{percent}% +([\d.]+)(us|ms)", output) for percent in (50, 99)]
        return [float(number[1]) * unit[number[2]] for number in found]

    def idle(self, name):
        """KiB of memory for each connection that has had an answer and waits."""
        import ssl

        context = ssl._create_unverified_context() if name.endswith("-tls") else None

        def opened():
            connection = socket.create_connection(("127.0.0.1", self.ports[name]))
            if context:
                connection = context.wrap_socket(connection)
            connection.sendall(b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n")
            answer = b""
            while len(answer) < 1024:
                answer += connection.recv(65536)
            return connection

        def settled():
            # What is not needed while nothing happens goes back to the system after a while.
            time.sleep(IDLE_SECONDS)
            return stand.memory_kib(self.pids[name])

        opened().close()
        before = settled()
        connections = [opened() for _ in range(IDLE_CONNECTIONS)]
        grown = settled() - before
        for connection in connections:
            connection.close()
        return grown / IDLE_CONNECTIONS

    def started(self):
        """Milliseconds from the start of the process to its first answer, with the embedded store."""
        port = stand.free_port()
        configuration = stand.WORK / "start.toml"
        configuration.write_text(
            f'[store]\nurl = "embedded:{stand.WORK}/start.db"\n[sealing]\nkey_file = "{stand.WORK}/start.keys"\n'
            f'[admin]\naddress = "127.0.0.1:0"\n[upstream]\nurl = "http://127.0.0.1:{self.upstream_port}"\n'
            f'[listen]\naddress = "127.0.0.1:{port}"\n'
        )
        begin = time.monotonic()
        with open(stand.WORK / "start.log", "ab") as log:
            process = subprocess.Popen([self.binary, "serve", "--config", configuration], stdout=log, stderr=log)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n")
                    connection.recv(1)
                    break
            except ConnectionRefusedError:
                time.sleep(0.0002)
        took = time.monotonic() - begin
        process.terminate()
        process.wait()
        return took * 1000


def rounds(what, work):
    """Does something once to get warm, then in so many rounds, and returns each column's median."""
    samples = collections.defaultdict(list)
    for number in range(ROUNDS + 1):
        print(f"{what}: round {number} of {ROUNDS} …", file=sys.stderr)
        for key, measure in work:
            sample = measure()
            if number:
                samples[key].append(sample)
    return {key: [statistics.median(column) for column in zip(*rows)] for key, rows in samples.items()}


def table(*rows):
    rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def keep(name, text):
    """Prints what came out, and keeps it among the results."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stand.install(*stand.PACKAGES)
    out = []
    binary = stand.build()
    with Bench() as bench:
        bench.prepare(binary)
        works = [work for work in WORKS if work in ONLY]
        pairs = [((work, name), lambda w=work, n=name: bench.measure(w, n)) for work in works for name in WORKS[work][2]]
        median = rounds("throughput", pairs)
        if median:
            names = list(dict.fromkeys(name for work in works for name in WORKS[work][2]))
            shown = lambda work, name: f"{median[work, name][1]:.1f} ({median[work, name][0]:.0f})" if (work, name) in median else ""
            out.append("CPU µs per request (requests per second):\n")
            out.append(table(["work", *names, "Redis µs"], *(
                [WORKS[work][0], *(shown(work, name) for name in names),
                 f"{median[work, 'gateway'][2]:.1f}" if work in ("no-factor", "challenged", "code") else ""]
                for work in works)))
            rows = []
            for work, peer, most in TARGETS:
                own = "gateway-tls" if peer == "nginx-tls" else "gateway"
                if (work, own) in median:
                    ratio = median[work, own][1] / median[work, peer][1]
                    rows.append([WORKS[work][0], f"≤ {most:.2f} × {peer}", f"{ratio:.2f}", "yes" if ratio <= most else "no"])
            for work in ("no-factor", "challenged"):
                if work in works and "passed" in works:
                    ratio = median[work, "gateway"][1] / median["passed", "gateway"][1]
                    rows.append([WORKS[work][0], "≤ 1.15 × the gateway's POST that passes", f"{ratio:.2f}", "yes" if ratio <= 1.15 else "no"])
            out.append("CPU per request against its target:\n")
            out.append(table(["work", "target", "measured", "reached"], *rows))
        bench.carried = median.get(("get-1k", "nginx"), [20000])[0]
        works = [work for work in LATENCIES if work in ONLY]
        pairs = [((work, name), lambda w=work, n=name: bench.latency(w, n)) for work in works for name in LATENCIES[work][1]]
        if median := rounds("latency", pairs):
            out.append("Latency in µs, p50 / p99:\n")
            names = list(dict.fromkeys(name for work in works for name in LATENCIES[work][1]))
            shown = lambda key: f"{median[key][0]:.0f} / {median[key][1]:.0f}" if key in median else ""
            out.append(table(["work", *names], *([LATENCIES[work][0], *(shown((work, name)) for name in names)] for work in works)))
        if "idle" in ONLY:
            names = ["nginx", "nginx-tls", "gateway", "gateway-tls"]
            out.append(f"KiB of memory for each of {IDLE_CONNECTIONS} idle connections:\n")
            out.append(table(names, [f"{bench.idle(name):.1f}" for name in names]))
        if "start" in ONLY:
            took = statistics.median(bench.started() for _ in range(2 * ROUNDS + 1))
            size = bench.binary.stat().st_size / 1e6
            out.append(f"From the start of the process to the first answer: {took:.1f} ms. The binary: {size:.1f} MB.\n")
    keep("latest", "\n".join(out))


if __name__ == "__main__":
    main()
