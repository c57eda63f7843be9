#!/usr/bin/env bash
# Installs Helm, and what checks manifests as an API server does, into $TOOLS_DIR (default: .tools in the repository's root):
# go/go.mod pins both. Does only what its inputs have changed since the last time; the first time takes some minutes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

main() {
    need_go "$here/go"
    step helm make_helm "$here/install.sh" "$here/go"
}

make_helm() {
    (
        cd "$here/go"
        go build -buildvcs=false -o "$tools/bin/" tool
        go vet ./...
        go build -buildvcs=false -o "$tools/bin/manifests" .
    )
}

main
