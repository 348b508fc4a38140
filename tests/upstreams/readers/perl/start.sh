#!/bin/bash
# usage: start.sh PORT DIR
# The reader in Perl on 127.0.0.1:PORT; prints READY, stays until TERM or INT.
set -eum # -m: the server and its workers are one process group
PORT=${1:?port} DIR=${2:?state directory} HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$DIR"
export READER_DIR=$DIR
# A kept connection would hold a worker.
starman --workers 2 --disable-keepalive --env deployment --listen "127.0.0.1:$PORT" "$HERE/app.psgi" \
    >"$DIR/out.log" 2>&1 </dev/null & SERVER=$!
trap 'kill -CONT -- -$SERVER 2>/dev/null; kill -- -$SERVER 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
echo $SERVER >"$DIR/pid"
until curl -m2 -so /dev/null "http://127.0.0.1:$PORT/"; do kill -0 $SERVER; sleep .05; done
: >"$DIR/readings.jsonl"
echo READY
wait -f $SERVER # until it ends: a frozen one is not gone
