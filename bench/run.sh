#!/bin/bash
# Requests per second, and CPU time of the proxy per request: direct, through nginx, through the gateway, in
# one interleaved run. Prints a table, and keeps it in bench/results/latest.md.
#
#   ROUNDS=5 SECONDS_EACH=2 CONNECTIONS=32 SUBJECTS=200000 ONLY="get-1k get-1m" bench/run.sh
set -euo pipefail
cd "$(dirname "$0")"
ROUNDS=${ROUNDS:-5} SECONDS_EACH=${SECONDS_EACH:-2} CONNECTIONS=${CONNECTIONS:-32} SUBJECTS=${SUBJECTS:-200000}
ONLY=${ONLY:-get-1k get-1k-json get-1m passed no-factor challenged code}
WORK=$PWD/.work RESULTS=$PWD/results
rm -rf "$WORK"; mkdir -p "$WORK" "$RESULTS"

missing=()
for package in nginx-light wrk redis-server; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
    as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"
fi
(cd .. && cargo build --release --locked && cargo bench --locked --bench seed --no-run) >&2

# Ports that nobody holds; everything is on loopback and ends with this script.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
PIDS=()
trap 'kill "${PIDS[@]}" 2>/dev/null; wait 2>/dev/null' EXIT
until_open() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep .05; done; echo "port $1 does not open" >&2; exit 1; }
UPSTREAM=$(free_port) NGINX=$(free_port) REDIS=$(free_port) GATEWAY=$(free_port) EMBEDDED=$(free_port) UNWATCHED=$(free_port)

nginx_common="daemon off; worker_processes 1; error_log $WORK/error.log; events { worker_connections 4096; }"
temp="client_body_temp_path $WORK/b; proxy_temp_path $WORK/p; fastcgi_temp_path $WORK/f; uwsgi_temp_path $WORK/u; scgi_temp_path $WORK/s;"
head -c 1048576 /dev/zero | tr '\0' x >"$WORK/1m"
cat >"$WORK/upstream.conf" <<EOF
$nginx_common pid $WORK/upstream.pid;
http { access_log off; keepalive_requests 1000000000; $temp
  server { listen 127.0.0.1:$UPSTREAM; root $WORK;
    location = /1k { default_type text/html; return 200 "<!doctype html>$(head -c 1009 /dev/zero | tr '\0' x)"; }
    location = /1k.json { default_type application/json; return 200 "{\\"a\\":\\"$(head -c 1016 /dev/zero | tr '\0' x)\\"}"; }
    location = /1m { default_type application/octet-stream; }
    location = /oauth2/token { default_type application/json;
      return 200 '{"access_token":"0123456789012345678901234567890123456789","expires_in":3600,"token_type":"Bearer"}'; } } }
EOF
cat >"$WORK/nginx.conf" <<EOF
$nginx_common pid $WORK/nginx.pid;
http { access_log off; keepalive_requests 1000000000; $temp
  upstream up { server 127.0.0.1:$UPSTREAM; keepalive 128; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$NGINX;
    location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host \$http_host;
      proxy_set_header X-Forwarded-For \$remote_addr; proxy_set_header X-Forwarded-Proto \$scheme; } } }
EOF
nginx -c "$WORK/upstream.conf" & PIDS+=($!)
nginx -c "$WORK/nginx.conf" & PIDS+=($!)
redis-server --port "$REDIS" --bind 127.0.0.1 --save '' --appendonly no --dir "$WORK" >/dev/null & PIDS+=($!); REDIS_PID=$!
until_open "$UPSTREAM"; until_open "$NGINX"; until_open "$REDIS"

seed() { (cd .. && cargo bench --quiet --locked --bench seed -- "$@"); }
echo "enrolling $SUBJECTS subjects …" >&2
seed "redis://127.0.0.1:$REDIS" "$WORK/redis.keys" "$SUBJECTS" >"$WORK/codes.lua"
seed "embedded:$WORK/store.db" "$WORK/store.keys" "$SUBJECTS" >"$WORK/codes-embedded.lua"

gateway() { # PORT STORE KEYS [MORE]
    printf '[listen]\naddress = "127.0.0.1:%s"\nthreads = 1\n[upstream]\nurl = "http://127.0.0.1:%s"\n[store]\nurl = "%s"\n[sealing]\nkey_file = "%s"\n[admin]\naddress = "127.0.0.1:0"\n%s\n' \
        "$1" "$UPSTREAM" "$2" "$3" "${4:-}" >"$WORK/$1.toml"
    ../target/release/tfa-gateway serve --config "$WORK/$1.toml" >"$WORK/$1.log" 2>&1 & PIDS+=($!); LAST=$!
    until_open "$1"
}
gateway "$GATEWAY" "redis://127.0.0.1:$REDIS" "$WORK/redis.keys"; GATEWAY_PID=$LAST
gateway "$EMBEDDED" "embedded:$WORK/store.db" "$WORK/store.keys"; EMBEDDED_PID=$LAST
# The same without the tripwire, which shows what that costs.
gateway "$UNWATCHED" "embedded:$WORK/unwatched.db" "$WORK/unwatched.keys" $'[tripwire]\nmode = "off"'; UNWATCHED_PID=$LAST
NGINX_PID=$(pgrep -P "$(cat "$WORK/nginx.pid")")

cpu_ns() { local sum=0 ns; for task in /proc/"$1"/task/*/schedstat; do read -r ns _ <"$task"; sum=$((sum + ns)); done; echo $sum; }

# measure NAME WORK PID PORT PATH [CODES]: one run; appends "name work requests/s cpu_us redis_us" to the samples.
declare -A OFFSET=()
measure() {
    local name=$1 work=$2 pid=$3 port=$4 path=$5 codes=${6:-none} before=0 after=0 output requests rate bad
    local redis_before; redis_before=$(cpu_ns "$REDIS_PID")
    [ "$pid" = 0 ] || before=$(cpu_ns "$pid")
    output=$(wrk -t1 -c"$CONNECTIONS" -d"${SECONDS_EACH}s" -s requests.lua "http://127.0.0.1:$port$path" -- "$work" "$codes" "${OFFSET[$name]:-0}")
    [ "$pid" = 0 ] || after=$(cpu_ns "$pid")
    requests=$(awk '/requests in/ { print $1 }' <<<"$output")
    rate=$(awk '/Requests\/sec/ { print $2 }' <<<"$output")
    bad=$(awk -F': ' '/Non-2xx/ { print $2 }' <<<"$output")
    local wanted=0
    [ "$work" = challenged ] && [[ $name == gateway* ]] && wanted=$requests
    # A few more were answered than wrk counted in its time.
    if [ "${bad:-0}" -lt "$wanted" ] || { [ "$wanted" = 0 ] && [ "${bad:-0}" -gt 0 ]; }; then
        echo "void: $name $work: ${bad:-0} of $requests answers were not 2xx" >&2; echo "$output" >&2; exit 1
    fi
    [ "$work" = code ] && OFFSET[$name]=$((${OFFSET[$name]:-0} + requests + CONNECTIONS))
    awk -v n="$name" -v w="$work" -v r="$rate" -v c=$((after - before)) -v d=$(($(cpu_ns "$REDIS_PID") - redis_before)) -v q="$requests" \
        'BEGIN { printf "%s %s %s %.2f %.2f\n", n, w, r, c / q / 1000, d / q / 1000 }' >>"$SAMPLES"
}

one_round() {
    local work path
    for work in $ONLY; do
        case $work in get-1k) path=/1k ;; get-1k-json) path=/1k.json ;; get-1m) path=/1m ;; *) path=/oauth2/token ;; esac
        [ $work = code ] || measure direct $work 0 "$UPSTREAM" $path
        [ $work = code ] || measure nginx $work "$NGINX_PID" "$NGINX" $path
        measure gateway $work "$GATEWAY_PID" "$GATEWAY" $path "$WORK/codes.lua"
        case $work in get-*) measure unwatched $work "$UNWATCHED_PID" "$UNWATCHED" $path ;; esac
        case $work in no-factor | challenged | code) measure gateway-embedded $work "$EMBEDDED_PID" "$EMBEDDED" $path "$WORK/codes-embedded.lua" ;; esac
    done
}
SAMPLES=/dev/null; echo "warming up …" >&2; one_round
SAMPLES=$WORK/samples; for round in $(seq "$ROUNDS"); do echo "round $round of $ROUNDS …" >&2; one_round; done

python3 - "$WORK/samples" <<'EOF' | tee "$RESULTS/latest.md"
import collections, statistics, sys
samples = collections.defaultdict(list)
for line in open(sys.argv[1]):
    name, work, *numbers = line.split()
    samples[work, name].append([float(n) for n in numbers])
median = {key: [statistics.median(column) for column in zip(*rows)] for key, rows in samples.items()}
WORKS = {"get-1k": "GET 1 KB, a page", "get-1k-json": "GET 1 KB, JSON", "get-1m": "GET 1 MB", "passed": "POST token, another grant", "no-factor": "password grant, no factor",
         "challenged": "password grant, challenged", "code": "password grant, correct code"}
print("| work | direct req/s | nginx req/s | nginx µs | gateway req/s | gateway µs | × nginx | without tripwire µs | Redis µs | embedded req/s | embedded µs |")
print("|---|---|---|---|---|---|---|---|---|---|---|")
for work, title in ((w, t) for w, t in WORKS.items() if (w, "gateway") in median):
    get = lambda name, column, form: format(median[work, name][column], form) if (work, name) in median else ""
    # nginx has no second factor: the grant with a code is compared with what it makes of one without.
    nginx = median[work if (work, "nginx") in median else "no-factor", "nginx"]
    print("|", " | ".join([title, get("direct", 0, ".0f"), get("nginx", 0, ".0f"), get("nginx", 1, ".1f"), get("gateway", 0, ".0f"),
          get("gateway", 1, ".2f"), format(median[work, "gateway"][1] / nginx[1], ".2f"), get("unwatched", 1, ".2f"), get("gateway", 2, ".1f"),
          get("gateway-embedded", 0, ".0f"), get("gateway-embedded", 1, ".1f")]), "|")
EOF
