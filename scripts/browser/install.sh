#!/usr/bin/env bash
# Installs Chromium with apt, where it is missing, and makes the page with its clients in $TOOLS_DIR/browser
# (default: .tools/browser in the repository's root). Does only what its inputs have changed since the last time. With
# `chromium`, only that, and npm.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

out=$tools/browser
requirements=$here/../e2e/requirements.txt
proto=$here/../../proto
echo=$here/../e2e/proto

main() {
    need chromium chromium
    need npm npm
    [ "${1:-}" != chromium ] || return 0
    need_venv "$requirements"
    step browser make_page "$here/install.sh" "$here/package.json" "$here/package-lock.json" "$here/page" \
        "$requirements" "$proto" "$echo"
}

make_page() {
    rm -rf "$out" && mkdir -p "$out/gen"
    cp "$here/package.json" "$here/package-lock.json" "$here"/page/* "$out/"
    cd "$out"
    npm ci --silent --ignore-scripts --no-audit --no-fund
    local python=$tools/venv/bin/python
    # Where googleapis-common-protos puts google/rpc.
    local common
    common=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    PATH="$out/node_modules/.bin:$PATH" "$python" -m grpc_tools.protoc -I"$echo" -I"$proto" -I"$common" \
        --es_out=gen --es_opt=target=js \
        e2e/v1/echo.proto hub/v1/activity.proto google/rpc/status.proto google/rpc/error_details.proto
    node_modules/.bin/esbuild page.js --bundle --format=esm --outfile=bundle.js --log-level=warning
}

main "$@"
