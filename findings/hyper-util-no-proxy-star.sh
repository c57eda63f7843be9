#!/usr/bin/env bash
# NO_PROXY=* does not mean everything to hyper-util: hosts that are written as addresses still go through the proxy.
#
# Surprising: "*" is how one says that no proxy is to be used at all. curl ("matches all hosts"), Go ("a single asterisk
# indicates that no proxying should be done") and Python take it for that. hyper-util's proxy Matcher, which reqwest uses for
# HTTP_PROXY and its kin, sorts the list into names and addresses. "*" is a name there, and a host that is an address is
# looked up among the addresses only: so https://hub.example goes straight, and https://192.0.2.1 to the proxy.
# Why it matters: whoever switches a proxy off with NO_PROXY=* sees it work, until a service is configured by its address, as
# in clusters, on devices and in tests; then requests, with whatever they carry, go to the proxy that was switched off.
#
# Version: hyper-util 0.1.21 (features client-proxy); beside it curl and Python's urllib, as installed.
# Source: curl(1), --noproxy: "The only wildcard is a single "*" character, which matches all hosts, and effectively disables
# the proxy." Go, golang.org/x/net/http/httpproxy, Config.NoProxy: "A single asterisk (*) indicates that no proxying should
# be done." hyper-util, client::proxy::matcher, Builder::no.
set -euo pipefail

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
cd "$dir"

mkdir -p matcher/src
cat > matcher/Cargo.toml <<'TOML'
[package]
name = "matcher"
version = "0.0.0"
edition = "2021"

[dependencies]
http = "1"
hyper-util = { version = "=0.1.21", features = ["client-proxy"] }
TOML
cat > matcher/src/main.rs <<'RUST'
use hyper_util::client::proxy::matcher::Matcher;

fn main() {
    let matcher = Matcher::builder().all("http://127.0.0.1:1").no("*").build();
    for url in std::env::args().skip(1) {
        let way = if matcher.intercept(&url.parse().unwrap()).is_some() { "proxy" } else { "straight" };
        println!("{url} {way}");
    }
}
RUST
(cd matcher && cargo build --quiet 2> build.log) || { cat matcher/build.log; exit 2; }

# A server at an address, and a proxy that nobody answers at: who goes through it fails.
cat > server.py <<'PY'
import http.server

server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 server.py > port 2> server.log &
server=$!
for _ in $(seq 200); do [ -s port ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat port)/port
export http_proxy=http://127.0.0.1:1 no_proxy='*' NO_PROXY='*'
unset HTTP_PROXY ALL_PROXY all_proxy

way() { if "$@" > /dev/null 2>&1; then echo straight; else echo proxy; fi; }
curl_way=$(way curl --silent --fail --max-time 20 "$url")
python_way=$(way python3 -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=20)' "$url")
seen=$(matcher/target/debug/matcher https://hub.example https://192.0.2.1 'https://[2001:db8::1]')

echo "The way of requests with a proxy for everything, and NO_PROXY=*."
echo "Expected: all of them straight."
echo "Seen:"
echo "  curl, an address:    $curl_way"
echo "  urllib, an address:  $python_way"
echo "  hyper-util 0.1.21:"
echo "${seen//$'\n'/$'\n'    }" | sed '1s/^/    /'
expected=$'https://hub.example straight\nhttps://192.0.2.1 proxy\nhttps://[2001:db8::1] proxy'
if [ "$curl_way $python_way" = "straight straight" ] && [ "$seen" = "$expected" ]; then
    echo "As described: to hyper-util NO_PROXY=* excepts names, and no addresses."
else
    echo "CHANGED: this is no longer what they do."
    exit 1
fi
