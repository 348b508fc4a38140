#!/bin/bash
# Installs what the tests need and is not there yet, on Debian 12: packages of Debian's, a Python venv
# in tests/.work/venv and the npm packages of tests/clients. Asks nothing, starts no service, and is
# done at once when there is nothing to do. Needs root or sudo only where a package is missing.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p .work

PACKAGES=(
    build-essential ca-certificates curl jq openssl procps util-linux
    redis-server sqlite3 libfaketime oathtool
    glewlwyd
    ruby-doorkeeper ruby-doorkeeper-openid-connect ruby-activerecord ruby-sqlite3 puma
    php-cli php-intl php-mbstring
    liblemonldap-ng-portal-perl libstring-random-perl libcrypt-openssl-bignum-perl libio-string-perl
    libdbd-sqlite3-perl libcgi-pm-perl libplack-perl starman
    python3-venv
    chromium fonts-dejavu-core
    haproxy systemd
    nginx-light apache2 prometheus
)
command -v node >/dev/null || PACKAGES+=(nodejs)
command -v kubectl >/dev/null || PACKAGES+=(kubernetes-client)
command -v npm >/dev/null || PACKAGES+=(npm)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian starts a service when its package is installed; here nothing may hold a port. An existing
# policy of the machine's is left alone, and so are services that were there before.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours=no
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    local status=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" || status=$?
    [ $ours = no ] || as_root rm -f $policy
    [ $status = 0 ] || return $status
    if [ -d /run/systemd/system ]; then
        for package in "$@"; do
            case $package in redis-server | glewlwyd) as_root systemctl disable --quiet "$package" || true ;; esac
        done
    fi
}

missing=()
for package in "${PACKAGES[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}" >&2
    install_packages "${missing[@]}" >.work/apt.log 2>&1 || {
        tail -n 20 .work/apt.log >&2
        echo "setup: could not install ${missing[*]}; run as root, or with sudo that asks nothing" >&2
        exit 1
    }
fi

# stamped NAME FILES...: true when FILES have not changed since `stamp NAME FILES...`
stamped() { [ "$(cat ".work/$1.stamp" 2>/dev/null)" = "$(cat "${@:2}" | sha256sum)" ]; }
stamp() { cat "${@:2}" | sha256sum >".work/$1.stamp"; }

if ! [ -x .work/venv/bin/python ] || ! stamped venv clients/requirements.txt; then
    echo "setup: Python packages into tests/.work/venv" >&2
    rm -rf .work/venv
    /usr/bin/python3 -m venv .work/venv
    .work/venv/bin/pip install --quiet --no-input --disable-pip-version-check --no-deps --ignore-requires-python -r clients/requirements.txt
    stamp venv clients/requirements.txt
fi

if ! [ -d clients/node_modules ] || ! stamped npm clients/package.json clients/package-lock.json; then
    echo "setup: npm packages into tests/clients/node_modules" >&2
    (cd clients && npm ci --silent --no-progress)
    stamp npm clients/package.json clients/package-lock.json
fi
