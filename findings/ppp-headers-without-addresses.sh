#!/usr/bin/env bash
# The crate ppp refuses PROXY headers that say "no addresses here", which receivers are told to take whatever else they say.
#
# Surprising: both versions of the PROXY protocol have a form for connections that are the balancer's own, or that it knows
# nothing of. In version 1 that is UNKNOWN, of whose line a receiver "must ignore anything presented before the CRLF"; ppp
# counts the words, and from the fifth on says that the line has no end. In version 2 it is the command LOCAL, for which the
# receiver is to "discard the protocol block including the family which is ignored"; ppp wants the addresses of the family all
# the same, and refuses a family that it does not know.
# Why it matters: these are a balancer's health checks. A server that parses with ppp serves every client and is taken out of
# service all the same, as soon as its balancer puts a word more into its UNKNOWN, or a family beside LOCAL.
#
# Version: ppp 2.3.0.
# Source: proxy-protocol.txt (HAProxy 3.2) 2.1 (UNKNOWN: "the receiver must ignore anything presented before the CRLF is
# found") and 2.2 (LOCAL: "The receiver must accept this connection as valid and must use the real connection endpoints and
# discard the protocol block including the family which is ignored").
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "headers"
version = "0.0.0"
edition = "2021"

[dependencies]
ppp = "=2.3.0"
TOML
cat > src/main.rs <<'RUST'
use ppp::{v1, v2};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn told<H, E: std::fmt::Debug>(what: &str, parsed: Result<H, E>) {
    match parsed {
        Ok(_) => println!("{what}: taken"),
        Err(error) => println!("{what}: {error:?}"),
    }
}

fn main() {
    for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN 1 2 3 4\r\n", "PROXY UNKNOWN 1 2 3 4 5\r\n"] {
        told(line.trim_end(), v1::Header::try_from(line));
    }
    for (what, family) in [("LOCAL, UNSPEC", 0x00), ("LOCAL, TCP over IPv4", 0x11), ("LOCAL, family 7", 0x71)] {
        let header = [V2, &[0x20, family, 0, 0]].concat();
        told(what, v2::Header::try_from(&header[..]));
    }
}
RUST
cargo build --quiet 2> build.log || { cat build.log; exit 2; }
seen=$(target/debug/headers)

echo "Headers without addresses, given to ppp 2.3.0."
echo "Expected: all of them taken."
echo "Seen:"
echo "$seen" | sed 's/^/    /'
expected='PROXY UNKNOWN: taken
PROXY UNKNOWN 1 2 3 4: taken
PROXY UNKNOWN 1 2 3 4 5: MissingNewLine
LOCAL, UNSPEC: taken
LOCAL, TCP over IPv4: InvalidAddresses(0, 12)
LOCAL, family 7: AddressFamily(112)'
if [ "$seen" = "$expected" ]; then
    echo "As described: what else such a header says is not ignored."
else
    echo "CHANGED: this is no longer what ppp does."
    exit 1
fi
