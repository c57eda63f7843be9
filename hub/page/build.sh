#!/usr/bin/env bash
# Builds the page into dist/, or into the folder that is named: what is committed is what this makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

out=${1:-dist}
bin=node_modules/.bin
# What of others is in it, as their licences ask for.
notice='/* Contains uPlot (MIT), Copyright (c) 2025 Leon Sorokin, and @bufbuild/protobuf (Apache-2.0 AND BSD-3-Clause),
Copyright 2021-2026 Buf Technologies, Inc., Copyright 2008 Google Inc. */'

main() {
    has_node || { echo "the page wants npm and Node.js 20 or newer" >&2; exit 1; }
    cmp -s package-lock.json node_modules/.made-of || install_packages
    # The code of the protobuf files is committed with the page.
    [ "$out" != dist ] || $bin/buf generate
    $bin/tsc --noEmit
    rm -rf "$out" && mkdir -p "$out"
    cp src/index.html src/favicon.svg "$out/"
    $bin/esbuild src/main.ts --bundle --minify --format=iife --target=es2022 --legal-comments=none \
        --banner:js="$notice" --outfile="$out/page.js" --log-level=warning
    $bin/esbuild src/page.css --bundle --minify --target=chrome100,firefox110,safari16 \
        --outfile="$out/page.css" --log-level=warning
}

has_node() {
    command -v npm >/dev/null && node -e 'process.exit(Number(process.versions.node.split(".")[0] < 20))'
}

install_packages() {
    npm ci --silent --ignore-scripts --no-audit --no-fund
    cp package-lock.json node_modules/.made-of
}

main
