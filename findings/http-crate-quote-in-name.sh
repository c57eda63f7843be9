#!/usr/bin/env bash
# In the Rust crate `http` one constructor of HeaderName takes a double quote, the other refuses it.
#
# Surprising: HeaderName::from_bytes refuses `x-"-y`, as RFC 9110 asks, but
# HeaderName::from_lowercase and from_static take it, so a HeaderName exists whose own text the crate
# cannot parse. The change log says "Fix HeaderName parsing to reject `"` characters" (1.2.0): only
# one of the two tables of characters was changed. h2 decodes fields with from_lowercase, so the name
# reaches the application of an HTTP/2 server or client.
# Why it matters: code between two libraries copies headers by their text. What came in by HTTP/2 as
# an ordinary header then fails with InvalidHeaderName on the way out, far from where it came in.
#
# Version: http 1.5.0, h2 0.4.20 (crates.io).
# Source: RFC 9110 5.6.2: tchar has no DQUOTE; RFC 9110 5.1: field-name = token.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

mkdir "$dir/src"
cat > "$dir/Cargo.toml" <<'TOML'
[package]
name = "trial"
version = "0.0.0"
edition = "2021"

[dependencies]
http = "=1.5.0"
h2 = "=0.4.20"
tokio = { version = "=1.54.1", features = ["rt", "io-util", "macros"] }

[profile.dev]
debug = false
TOML

cat > "$dir/src/main.rs" <<'RUST'
use http::{HeaderName, HeaderValue, Request, Response};

const NAME: &str = "x-\"-y";

/// The name of the extra header as an HTTP/2 server of `h2` hands it to its application.
async fn over_h2(name: HeaderName) -> HeaderName {
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = async {
        let mut connection = h2::server::handshake(far).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let name = request.headers().keys().next().unwrap().clone();
        respond.send_response(Response::new(()), true).unwrap();
        while connection.accept().await.is_some() {}
        name
    };
    let client = async {
        let (mut send, connection) = h2::client::handshake(near).await.unwrap();
        let mut request = Request::post("http://hub/echo.Echo/Say").body(()).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_static("1"));
        let call = async {
            let (response, _) = send.send_request(request, true).unwrap();
            let _ = response.await.unwrap();
            drop(send);
        };
        let (_, end) = tokio::join!(call, connection);
        let _ = end;
    };
    tokio::join!(server, client).0
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let bytes = HeaderName::from_bytes(NAME.as_bytes());
    let lowercase = HeaderName::from_lowercase(NAME.as_bytes());
    println!("  HeaderName::from_bytes:     {bytes:?}");
    println!("  HeaderName::from_lowercase: {lowercase:?}");
    let neighbour = HeaderName::from_lowercase(b"x-(-y");
    println!("  from_lowercase, `(` in its place: {neighbour:?}");
    let Ok(name) = lowercase else {
        std::process::exit(1);
    };
    let received = over_h2(name).await;
    let again = HeaderName::from_bytes(received.as_str().as_bytes());
    println!("  an h2 server received:      {received:?}");
    println!("  from_bytes of that text:    {again:?}");
    let same = bytes.is_err() && neighbour.is_err() && received.as_str() == NAME && again.is_err();
    std::process::exit(if same { 0 } else { 1 });
}
RUST

echo "http 1.5.0, h2 0.4.20 (Rust): a header name with a double quote, $(printf '%s' 'x-"-y')."
echo "Expected: refused by each constructor (RFC 9110 5.6.2 lists no DQUOTE; the change log of 1.2.0 says so)."
cargo build --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
echo "Seen:"
if "$dir/target/debug/trial"; then
    echo "As described: the name comes in by HTTP/2, and the same crate then refuses its text."
else
    echo "CHANGED: this is no longer what http and h2 do."
    exit 1
fi
