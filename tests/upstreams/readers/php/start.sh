#!/bin/bash
# usage: start.sh PORT DIR
# The reader in PHP on 127.0.0.1:PORT; prints READY, stays until TERM or INT.
set -eum # -m: the server and its workers are one process group
PORT=${1:?port} DIR=${2:?state directory} HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$DIR"
export READER_DIR=$DIR PHP_CLI_SERVER_WORKERS=2
# A cookie is a parameter, too, as it was before PHP 5.3, and `;` separates as well as `&`.
php -d display_errors=stderr -d opcache.enable_cli=0 -d request_order=GPC -d 'arg_separator.input=&;' \
    -S "127.0.0.1:$PORT" "$HERE/server.php" >"$DIR/out.log" 2>&1 </dev/null & SERVER=$!
trap 'kill -CONT -- -$SERVER 2>/dev/null; kill -- -$SERVER 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
echo $SERVER >"$DIR/pid"
until curl -m2 -so /dev/null "http://127.0.0.1:$PORT/"; do kill -0 $SERVER; sleep .05; done
: >"$DIR/readings.jsonl"
echo READY
wait -f $SERVER # until it ends: a frozen one is not gone
