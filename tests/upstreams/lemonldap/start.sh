#!/bin/bash
# usage: start.sh PORT DIR
# A LemonLDAP::NG portal on 127.0.0.1:PORT; prints READY, stays until TERM or INT.
set -eum # -m: the server and its worker are one process group
PORT=${1:?port} DIR=${2:?state directory} HERE=$(cd "$(dirname "$0")" && pwd)
export LLNG_DIR=$DIR LLNG_URL=http://127.0.0.1:$PORT LLNG_DEFAULTCONFFILE=$DIR/empty.ini
mkdir -p "$DIR"/{conf,sessions,locks}
[ -e "$DIR/key.pem" ] || openssl genrsa -out "$DIR/key.pem" 2048 2>/dev/null
openssl rsa -in "$DIR/key.pem" -pubout -out "$DIR/pub.pem" 2>/dev/null
rm -f "$DIR/users.db"
sqlite3 "$DIR/users.db" "create table users(uid text primary key, pw text, mail text); insert into users
    values('alice','passw0rd','alice@example.com'),('bob','hunter22','bob@example.com')"
cat >"$DIR/conf/lmConf-1.json" <<CONF
{"cfgNum":1,"cfgAuthor":"tests","cfgDate":1,"localSessionStorage":"","locationRules":{"unused.invalid":{"default":"deny"}}}
CONF
: >"$DIR/empty.ini"
# Each worker loads the portal for itself, for the handle of SQLite must not be shared by a fork. A kept
# connection holds a worker, and who comes directly must not wait for one that the gateway keeps.
starman --workers 2 --disable-keepalive --listen "127.0.0.1:$PORT" "$HERE/app.psgi" \
    >"$DIR/out.log" 2>&1 </dev/null & SERVER=$!
trap 'kill -CONT -- -$SERVER 2>/dev/null; kill -- -$SERVER 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
echo $SERVER >"$DIR/pid"
until curl -m10 -so /dev/null "$LLNG_URL/"; do kill -0 $SERVER; sleep .05; done
echo READY
wait -f $SERVER # until it ends: a frozen one is not gone
