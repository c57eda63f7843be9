#!/usr/bin/env bash
# Builds an OpenTelemetry Collector into $TOOLS_DIR (default: .tools in the repository's root), of its public Go modules as
# go.mod pins them. Does only what its inputs have changed since the last time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../steps.sh"

main() {
    need_go "$here"
    step collector make_collector "$here"
}

make_collector() {
    (cd "$here" && go build -buildvcs=false -ldflags="-s -w" -o "$tools/bin/collector" . 2>&1) | sed '/^go: downloading /d'
}

main
