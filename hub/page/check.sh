#!/usr/bin/env bash
# Fails if the committed page, or the code of its protobuf files, is not what its sources make.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

anew=$(mktemp -d)
trap 'rm -rf "$anew"' EXIT

./build.sh "$anew/dist"
node_modules/.bin/buf generate -o "$anew"
for made in dist src/gen; do
    diff -rq "$made" "$anew/$made" || { echo "hub/page/$made is not what its sources make: make page" >&2; exit 1; }
done
size=$(cat dist/* | wc -c)
[ "$size" -lt 204800 ] || { echo "the page has $size bytes: 200 KiB are the limit" >&2; exit 1; }
echo "hub/page/dist is what its sources make: $size bytes"
