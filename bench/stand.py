"""What a benchmark runs on: an upstream, Redis, the peers and the gateway, all on loopback, until the benchmark ends."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = HERE / ".work"
TOKEN = '{"access_token":"0123456789012345678901234567890123456789","expires_in":3600,"token_type":"Bearer"}'
# Of Debian: the peers, and what sends the load.
PACKAGES = ["nginx-light", "libnginx-mod-http-lua", "lua-nginx-redis", "nghttp2-client", "wrk", "redis-server", "openssl"]


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, **more)


def install(*packages):
    """Installs what is missing of Debian's packages."""

    def is_there(package):
        status = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True)
        return status.stdout == "installed"

    missing = [package for package in packages if not is_there(package)]
    if missing:
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        environment = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"]
        run(*as_root, *environment, "apt-get", "-qq", "install", "-y", "--no-install-recommends", *missing, stdout=sys.stderr)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_open(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    sys.exit(f"port {port} does not open")


def cpu_ns(pid):
    """Nanoseconds that the threads of a process have run."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def memory_kib(pid):
    """Memory of a process alone and its part of what is shared."""
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


class Stand:
    """Starts processes, each on the core it is given, and ends them all."""

    def __init__(self, cores=(0, 0)):
        self.proxy_core, self.other_core = cores
        self.processes = []
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()

    def start(self, *command, log="processes", is_proxy=False, **more):
        core = self.proxy_core if is_proxy else self.other_core
        with (WORK / f"{log}.log").open("ab") as output:
            command = [str(part) for part in ("taskset", "-c", core, *command)]
            process = subprocess.Popen(command, stdout=output, stderr=output, **more)
        self.processes.append(process)
        return process

    def nginx(self, name, servers, top="", http="", is_proxy=True):
        """An nginx of one worker; returns the worker's process id."""
        folder = WORK / name
        folder.mkdir()
        temporary = " ".join(f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"{top} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events { worker_connections 32768; }\n"
            f"http {{ access_log off; keepalive_requests 1000000000; {temporary}\n{http}\n{servers} }}\n"
        )
        process = self.start("nginx", "-c", folder / "nginx.conf", log=name, is_proxy=is_proxy)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                return int(children.read_text())
            time.sleep(0.01)
        sys.exit(f"{name} has no worker: {(WORK / f'{name}.log').read_text()}")

    def upstream(self):
        """A token endpoint and some pages, from memory; returns its port."""
        port = free_port()
        (WORK / "1m").write_bytes(b"x" * (1 << 20))
        page = "<!doctype html>" + "x" * 1009
        self.nginx(
            "upstream",
            f"""server {{ listen 127.0.0.1:{port} backlog=4096; root {WORK};
              location = /1k {{ default_type text/html; return 200 "{page}"; }}
              location = /1k.json {{ default_type application/json; return 200 '{{"a":"{"x" * 1016}"}}'; }}
              location = /1m {{ default_type application/octet-stream; }}
              location = /oauth2/token {{ default_type application/json; return 200 '{TOKEN}'; }} }}""",
            is_proxy=False,
        )
        until_open(port)
        return port

    def redis(self):
        """A Redis that keeps nothing on disk; returns its process id and port."""
        port = free_port()
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", WORK]
        process = self.start("redis-server", "--port", port, *options, log="redis")
        until_open(port)
        return process.pid, port

    def certificate(self):
        """A certificate for 127.0.0.1 that signs itself, of the kind that most sites have (P-256), and its key."""
        certificate, key = WORK / "site.pem", WORK / "site.key"
        if not key.exists():
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
            files = ["-keyout", key, "-out", certificate]
            run("openssl", "req", "-x509", "-nodes", "-days", "2", *curve, *name, *files, stderr=subprocess.DEVNULL)
        return certificate, key

    def gateway(self, name, binary, upstream, store, more="", threads=1, under=()):
        """A gateway; returns its process id and port once it answers. `more` is put after `[listen]`'s first lines."""
        port = free_port()
        configuration = WORK / f"{name}.toml"
        configuration.write_text(
            f'[store]\nurl = "{store}"\n[sealing]\nkey_file = "{WORK}/keys"\n[admin]\naddress = "127.0.0.1:0"\n'
            f'[upstream]\nurl = "http://127.0.0.1:{upstream}"\n'
            f'[listen]\naddress = "127.0.0.1:{port}"\nthreads = {threads}\n{more}\n'
        )
        process = self.start(*under, binary, "serve", "--config", configuration, log=name, is_proxy=True)
        until_open(port)
        return process.pid, port


def build():
    """Builds the gateway as it is released, unless GATEWAY names one; returns its path."""
    if given := os.environ.get("GATEWAY"):
        return pathlib.Path(given)
    run("cargo", "build", "--release", "--locked", cwd=ROOT, stdout=sys.stderr)
    return ROOT / "target/release/tfa-gateway"


def built_bench(name):
    """Builds one of benches/; returns its path."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", name, "--no-run", "--message-format=json"]
    messages = map(json.loads, run(*command, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.splitlines())
    return next(pathlib.Path(made["executable"]) for made in messages if made.get("target", {}).get("name") == name)


def pipelined(connection, commands, count):
    """Sends inline commands to Redis and reads that many answers of one line."""
    commands, sent, answers = commands.encode(), 0, 0
    while answers < count:
        if sent < len(commands):
            sent += connection.send(commands[sent : sent + 65536])
        answers += connection.recv(65536).count(b"\n")


def seed(store, subjects, first=1):
    """Enrols bench1 (or another first one) to benchN, all with one secret; returns the codes of the next hour: the first
    step, and one for each."""
    command = [built_bench("seed"), store, WORK / "keys", subjects, first]
    table = run(*command, stdout=subprocess.PIPE, text=True).stdout
    (WORK / "codes.lua").write_text(table)
    return int(re.search(r"first ?= ?(\d+)", table)[1]), re.findall(r'"(\d{6})"', table)
