#!/bin/bash
# What administration takes on many subjects: import, list, search, key rotation, export, in Redis and in the embedded
# store, each with its time and its largest memory. Prints a table, and keeps it in bench/results/million.md.
#
#   SUBJECTS=1000000 STORES="redis embedded" bench/million.sh
set -euo pipefail
cd "$(dirname "$0")"
SUBJECTS=${SUBJECTS:-1000000} STORES=${STORES:-redis embedded}
WORK=$PWD/.work-million RESULTS=$PWD/results
rm -rf "$WORK"; mkdir -p "$WORK" "$RESULTS"
(cd .. && cargo build --release --locked) >&2

PIDS=()
trap 'kill "${PIDS[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$WORK"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

python3 - "$SUBJECTS" >"$WORK/subjects.csv" <<'PYTHON'
import base64, hashlib, sys
print("subject,secret")
for n in range(int(sys.argv[1])):
    secret = hashlib.sha256(str(n).encode()).digest()[:20]
    print(f"person-{n:07}@example.org,{base64.b32encode(secret).decode()}")
PYTHON

# run WHAT COMMAND...: one line of the table.
run() {
    python3 - "$@" <<'PYTHON'
import subprocess, sys, tempfile, time
what, command = sys.argv[1], sys.argv[2:]


def largest_memory(pid):
    """VmHWM (proc_pid_status(5)), which is the command's own from its exec on. None once it has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), None)
    except (FileNotFoundError, ProcessLookupError):
        return None


start = time.monotonic()
with tempfile.TemporaryFile("w+") as errors:
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    kib = 0
    while running.poll() is None:
        kib = max(kib, largest_memory(running.pid) or 0)
        time.sleep(0.002)
    seconds = time.monotonic() - start
    errors.seek(0)
    if running.returncode:
        sys.exit(f"{what}: {errors.read()}")
print(f"| {what} | {seconds:.1f} | {kib / 1024:.0f} |", flush=True)
PYTHON
}

for store in $STORES; do
    mkdir "$WORK/$store"
    if [ "$store" = redis ]; then
        port=$(free_port)
        redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$WORK" >/dev/null & PIDS+=($!)
        for _ in $(seq 200); do redis-cli -p "$port" ping >/dev/null 2>&1 && break; done
        url=redis://127.0.0.1:$port
    else
        url=embedded:store.db
    fi
    printf '[upstream]\nurl = "http://127.0.0.1:9"\n[store]\nurl = "%s"\ntimeout_ms = 30000\n[sealing]\nkey_file = "sealing.keys"\n' "$url" >"$WORK/$store/gateway.toml"
    gateway() { run "$store: $1" ../target/release/tfa-gateway "${@:2}" --config "$WORK/$store/gateway.toml"; }
    ../target/release/tfa-gateway keys generate --config "$WORK/$store/gateway.toml" >/dev/null
    gateway "import $SUBJECTS subjects (CSV)" import --format csv "$WORK/subjects.csv"
    gateway "import them again (all there already)" import --format csv "$WORK/subjects.csv"
    gateway "list all" list
    gateway "search, one found" list --search person-0123456@
    ../target/release/tfa-gateway keys generate --config "$WORK/$store/gateway.toml" >/dev/null
    gateway "seal all records anew" keys rotate
    gateway "export, sealed" export --output "$WORK/$store/export"
    if [ "$store" = redis ]; then
        bytes=$(redis-cli -p "$port" info memory | awk -F: '/^used_memory:/ { print $2 + 0 }')
    else
        bytes=$(stat -c %s "$WORK/$store/store.db")
    fi
    echo "| $store: bytes a subject | | $((bytes / SUBJECTS)) B |"
done | tee "$WORK/rows" >&2
{ echo "| work | seconds | memory of the command, MiB |"; echo "|---|---|---|"; cat "$WORK/rows"; } | tee "$RESULTS/million.md"
