#!/usr/bin/env bash
# Installs the caller of scripts/faults that is grpc-go's into $TOOLS_DIR (default: .tools in the repository's root).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

main() {
    need_go "$here/go"
    step faults make_go "$here/install.sh" "$here/go"
}

make_go() {
    (cd "$here/go" && go vet ./... && go build -buildvcs=false -o "$tools/bin/go-steady" .)
}

main
