#!/usr/bin/env bash
# Installs the callers of scripts/links into $TOOLS_DIR (default: .tools in the repository's root): grpc-go's, and a
# Python with C-core, the one that `make e2e` has; iproute2 with apt, where it is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

main() {
    PATH=$PATH:/usr/sbin need tc iproute2
    need_go "$here/go"
    need_venv "$here/../e2e/requirements.txt"
    step links make_links "$here/install.sh" "$here/go"
}

make_links() {
    (cd "$here/go" && go build -buildvcs=false -o "$tools/bin/go-links" .)
}

main
