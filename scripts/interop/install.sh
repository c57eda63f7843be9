#!/usr/bin/env bash
# Installs the peers of the interop matrix into $TOOLS_DIR/interop (default: .tools/interop in the
# repository's root). Does only what its inputs have changed since the last time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

out=$tools/interop
requirements=$here/../e2e/requirements.txt

main() {
    need_go "$here/go"
    need javac default-jdk-headless
    need mvn maven
    need npm npm
    need nginx nginx-light
    mkdir -p "$out"
    need_venv "$requirements"
    step interop-python make_python "$here/install.sh" "$requirements" "$here/proto"
    step interop-go make_go "$here/install.sh" "$here/go"
    step interop-js make_js "$here/install.sh" "$here/js/package.json" "$here/js/package-lock.json"
    step interop-java make_java "$here/install.sh" "$here/java"
    make_tonic
}

make_python() {
    rm -rf "$out/python" && mkdir "$out/python"
    "$tools/venv/bin/python" -m grpc_tools.protoc -I"$here/proto" \
        --python_out="$out/python" --grpc_python_out="$out/python" interop.proto
}

make_go() {
    local program
    for program in client server; do
        (cd "$here/go" && go build -buildvcs=false -o "$out/go-$program" "google.golang.org/grpc/interop/$program")
    done
    (cd "$here/go" && go build -buildvcs=false -o "$out/go-ours" ./ours)
}

make_js() {
    rm -rf "$out/js" && mkdir "$out/js"
    cp "$here/js/package.json" "$here/js/package-lock.json" "$out/js/"
    (cd "$out/js" && npm ci --silent --ignore-scripts --no-audit --no-fund)
}

make_java() {
    java_program "$here/java" Interop "$out/java"
}

# Cargo knows by itself what has changed.
make_tonic() {
    (cd "$here/rust" && "${CARGO:-cargo}" build --quiet --release --locked -p interop)
    cp "$here/../../target/release/interop" "$out/tonic"
}

main
