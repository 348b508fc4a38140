#!/bin/bash
# usage: start.sh PORT DIR
# PHP's own server and request parser on 127.0.0.1:PORT; prints READY, stays until TERM or INT.
set -eum # -m: the server and its workers are one process group
PORT=${1:?port} DIR=${2:?state directory} HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$DIR/tokens"
export FIXTURE_DIR=$DIR PHP_CLI_SERVER_WORKERS=${WORKERS:-4}
php -d display_errors=stderr -d post_max_size=256K -d opcache.enable_cli=0 \
    -S "127.0.0.1:$PORT" "$HERE/server.php" >"$DIR/out.log" 2>&1 </dev/null & SERVER=$!
trap 'kill -CONT -- -$SERVER 2>/dev/null; kill -- -$SERVER 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
echo $SERVER >"$DIR/pid"
until curl -m2 -so /dev/null "http://127.0.0.1:$PORT/"; do kill -0 $SERVER; sleep .05; done
: >"$DIR/requests.jsonl"
echo READY
wait -f $SERVER # until it ends: a frozen one is not gone
