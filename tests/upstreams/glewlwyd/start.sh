#!/bin/bash
# usage: start.sh PORT DIR
# A throw-away glewlwyd on 127.0.0.1:PORT, provisioned over its own admin API; prints READY, stays
# until TERM or INT.
set -eum # -m: the server is a process group of its own
PORT=${1:?port} DIR=${2:?state directory} URL=http://127.0.0.1:$PORT
mkdir -p "$DIR"
rm -f "$DIR/glewlwyd.db" "$DIR/cookies"
zcat /usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz | sqlite3 "$DIR/glewlwyd.db"
cat >"$DIR/glewlwyd.conf" <<CONF
port=$PORT
bind_address="127.0.0.1"
external_url="$URL/"
api_prefix=""
log_mode="file"
log_level="INFO"
log_file="$DIR/glewlwyd.log"
cookie_secure=0
session_expiration=2419200
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database={ type="sqlite3"; path="$DIR/glewlwyd.db"; };
CONF
glewlwyd --config-file="$DIR/glewlwyd.conf" >"$DIR/out.log" 2>&1 </dev/null & SERVER=$!
trap 'kill -CONT -- -$SERVER 2>/dev/null; kill -- -$SERVER 2>/dev/null; wait' EXIT
trap 'exit 0' TERM INT
echo $SERVER >"$DIR/pid"
until curl -m2 -so /dev/null "$URL/"; do kill -0 $SERVER; sleep .05; done

api() { # METHOD PATH JSON
    curl -sS --fail-with-body -b "$DIR/cookies" -c "$DIR/cookies" -X "$1" "$URL$2" \
        -H 'Content-Type: application/json' -d "$3" >>"$DIR/provisioning.log"
}
person() { # NAME PASSWORD
    api POST /user '{"username":"'"$1"'","name":"'"$1"'","email":"'"$1"'@example.com","password":"'"$2"'",
        "enabled":true,"scope":["basic","openid","g_profile"]}'
}
api POST /auth '{"username":"admin","password":"password"}'
api POST /scope '{"name":"basic","display_name":"basic","password_required":true,"password_max_age":0,"scheme":{}}'
person alice passw0rd
person bob hunter22
api POST /client '{"client_id":"testclient","name":"testclient","password":"testpass","client_secret":"testpass",
    "confidential":true,"enabled":true,"scope":["basic"],"redirect_uri":["http://127.0.0.1/cb"],
    "authorization_type":["password","client_credentials","refresh_token","code"],
    "token_endpoint_auth_method":["client_secret_basic","client_secret_post"]}'
api POST /mod/plugin/ '{"module":"oidc","name":"oauth2","display_name":"oidc","enabled":true,"parameters":{
    "iss":"'"$URL"'/oauth2","jwt-type":"sha","jwt-key-size":"256","key":"0123456789abcdef0123456789abcdef",
    "access-token-duration":3600,"refresh-token-duration":1209600,"code-duration":600,
    "refresh-token-rolling":true,"allow-non-oidc":true,"auth-type-token-enabled":false,
    "auth-type-id-token-enabled":true,"auth-type-none-enabled":false,"auth-type-code-enabled":true,
    "auth-type-password-enabled":true,"auth-type-client-enabled":true,"auth-type-refresh-enabled":true,
    "introspection-revocation-allowed":true,"introspection-revocation-auth-scope":[],
    "introspection-revocation-allow-target-client":true,"allowed-scope":["openid","basic"],
    "subject-type":"public","jwks-show":true}}'
echo READY
wait -f $SERVER # until it ends: a frozen one is not gone
