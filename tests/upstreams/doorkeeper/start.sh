#!/bin/bash
# usage: start.sh PORT DIR
# Doorkeeper on 127.0.0.1:PORT; prints READY, stays until TERM or INT.
set -eum # -m: the server is a process group of its own
PORT=${1:?port} DIR=${2:?state directory} HERE=$(cd "$(dirname "$0")" && pwd)
export DOORKEEPER_DIR=$DIR DOORKEEPER_URL=http://127.0.0.1:$PORT
mkdir -p "$DIR"
rm -f "$DIR"/doorkeeper.db*
[ -e "$DIR/key.pem" ] || openssl genrsa -out "$DIR/key.pem" 2048 2>/dev/null
# One thread: Rails 6.1 on SQLite answers 500 to concurrent writers.
puma -b "tcp://127.0.0.1:$PORT" -t 1:1 "$HERE/config.ru" >"$DIR/out.log" 2>&1 </dev/null & SERVER=$!
trap 'kill -CONT -- -$SERVER 2>/dev/null; kill -- -$SERVER 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
echo $SERVER >"$DIR/pid"
until curl -m2 -so /dev/null "$DOORKEEPER_URL/"; do kill -0 $SERVER; sleep .05; done
echo READY
wait -f $SERVER # until it ends: a frozen one is not gone
