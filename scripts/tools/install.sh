#!/usr/bin/env bash
# Installs the tools of docs/tools.md into $TOOLS_DIR (default: .tools in the repository's root): those that are quickly
# built, and with `all` the others, too. Does only what its inputs have changed since the last time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

go_mod=$here/../e2e/go/go.mod
health_probe_version=v0.4.63
evans_version=v0.10.11
grpcui_version=v1.4.3
buf_version=1.75.0
ghz_version=v0.121.0

main() {
    need_go "$(dirname "$go_mod")"
    step "grpc-health-probe-$health_probe_version" make_health_probe "$here/install.sh"
    step "evans-$evans_version" make_evans "$here/install.sh"
    step "grpcui-$grpcui_version" make_grpcui "$here/install.sh"
    if command -v npm >/dev/null; then
        step "buf-$buf_version" make_buf "$here/install.sh"
    else
        echo "tools: npm is missing: buf's cases will be skipped"
    fi
    if [ "${1:-}" = all ]; then
        step "ghz-$ghz_version" make_ghz "$here/install.sh"
    fi
}

make_health_probe() {
    go_tool github.com/grpc-ecosystem/grpc-health-probe "$health_probe_version"
}

make_evans() {
    go_tool github.com/ktr0731/evans "$evans_version"
}

make_grpcui() {
    go_tool github.com/fullstorydev/grpcui "$grpcui_version" cmd/grpcui
}

make_ghz() {
    go_tool github.com/bojand/ghz "$ghz_version" cmd/ghz
}

# The program itself, as npm's package has it: built from source it takes minutes.
make_buf() {
    rm -rf "$tools/buf"
    npm install --prefix "$tools/buf" --silent --ignore-scripts --no-audit --no-fund "@bufbuild/buf@$buf_version"
    ln -sf "$tools"/buf/node_modules/@bufbuild/buf-*/bin/buf "$tools/bin/buf"
}

# go_tool MODULE VERSION [PACKAGE] builds a program with just the dependencies that its own go.mod names. It does what
# `go install` does, but for asking whether there are newer versions.
go_tool() {
    local built
    built=$(mktemp -d)
    printf 'module tool\n\n%s\n\nrequire %s %s\n' "$(grep '^go ' "$go_mod")" "$1" "$2" >"$built/go.mod"
    (cd "$built" && go build -mod=mod -o "$tools/bin/" "$1${3:+/$3}" 2>&1) | sed '/^go: downloading /d'
    rm -rf "$built"
}

main "$@"
