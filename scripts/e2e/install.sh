#!/usr/bin/env bash
# Installs the peers of the end-to-end tests into $TOOLS_DIR (default: .tools in the repository's root):
# Python with grpcio, the Go peer, grpcurl. Does only what its inputs have changed since the last time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${TOOLS_DIR:-$here/../../.tools}
mkdir -p "$tools/bin" "$tools/stamps"
tools=$(cd "$tools" && pwd)

grpcurl_version=v1.9.4
export CGO_ENABLED=0

main() {
    have_python || apt_install python3-venv
    have_go || apt_install golang-go
    have_go || fail "Go is missing or older than go/go.mod asks for: $(grep '^go ' "$here/go/go.mod")"

    step venv make_venv "$here/requirements.txt"
    step python make_python "$here/requirements.txt" "$here/proto"
    step go make_go "$here/requirements.txt" "$here/proto" "$here/go"
    step "grpcurl-$grpcurl_version" make_grpcurl
}

make_venv() {
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}

make_python() {
    rm -rf "$tools/python" && mkdir "$tools/python"
    protoc --python_out="$tools/python" --grpc_python_out="$tools/python"
}

# Builds from a copy, so that generated code never lies in the source tree.
make_go() {
    rm -rf "$tools/go" && cp -r "$here/go" "$tools/go"
    (
        cd "$tools/go"
        go build -buildvcs=false -o "$tools/bin/" tool
        PATH="$tools/bin:$PATH" protoc --go_out=. --go_opt=module=e2e --go-grpc_out=. --go-grpc_opt=module=e2e
        go vet ./...
        go build -buildvcs=false -o "$tools/bin/e2e-go" .
    )
}

make_grpcurl() {
    GOBIN="$tools/bin" go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_version"
}

protoc() {
    "$tools/venv/bin/python" -m grpc_tools.protoc -I"$here/proto" "$@" e2e/v1/echo.proto
}

# step NAME FUNCTION INPUT... runs FUNCTION unless it has already run with these inputs and this script.
step() {
    local name=$1 make=$2 now stamp="$tools/stamps/$1"
    shift 2
    now=$(find "$here/install.sh" "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
        return
    fi
    echo "e2e: making $name"
    rm -f "$stamp"
    "$make"
    echo "$now" >"$stamp"
}

have_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null
}

# Only a Go that is new enough can read go.mod's version line without an error.
have_go() {
    (cd "$here/go" && GOTOOLCHAIN=local go list -m >/dev/null 2>&1)
}

apt_install() {
    command -v apt-get >/dev/null || fail "$1 is missing"
    echo "e2e: installing $1"
    apt-get update -qq && apt-get install -y -qq "$1" >/dev/null
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

main
