#!/usr/bin/env bash
# One unknown name ends the whole reflection stream of a tonic server; the requests behind it get no answer.
#
# Surprising: server reflection is one bidirectional stream with an ErrorResponse message for what the
# server does not know, so that a client can ask for many names on it. tonic-reflection never sends
# that message: it ends the call with status NOT_FOUND, and what was asked after the unknown name stays
# unanswered. (all_extension_numbers_of_type alone always succeeds, with an empty list.)
# Why it matters: a client or gateway that asks for several names on one stream works with Python's
# grpcio-reflection 1.85.1 (file, error_response, file) and stops at the first miss here. Whoever merges
# the reflection of several backends must take a status for "not mine" and open the stream anew.
#
# Version: tonic-reflection 0.14.9 with tonic 0.14.9 (crates.io).
# Source: grpc/reflection/v1/reflection.proto, ServerReflectionResponse.message_response: "The server
# sets one of the following fields according to the message_request in the request", error_response:
# "This message is used when an error occurs."
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
bytes = "=1.12.2"
http = "=1.5.0"
http-body-util = "=0.1.5"
prost = "=0.14.4"
tokio = { version = "=1.54.1", features = ["rt", "macros"] }
tonic = { version = "=0.14.9", default-features = false, features = ["codegen"] }
tonic-reflection = "=0.14.9"

[profile.dev]
debug = false
TOML

cat > "$dir/src/main.rs" <<'RUST'
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::codegen::Service;
use tonic_reflection::pb::v1::{
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    ServerReflectionRequest, ServerReflectionResponse, FILE_DESCRIPTOR_SET,
};

const KNOWN: &str = "grpc.reflection.v1.ServerReflection";
const UNKNOWN: &str = "nowhere.Nothing";

/// What the server answers when these symbols are asked for on one stream: a word for each message, then the status.
async fn ask(symbols: &[&str]) -> String {
    let mut body = BytesMut::new();
    for symbol in symbols {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::FileContainingSymbol(symbol.to_string())),
        };
        body.put_u8(0);
        body.put_u32(request.encoded_len() as u32);
        request.encode(&mut body).unwrap();
    }
    let mut server = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
        .build_v1()
        .unwrap();
    let call = http::Request::post(format!("/{KNOWN}/ServerReflectionInfo"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body.freeze()))
        .unwrap();
    let (head, body) = server.call(call).await.unwrap().into_parts();
    let answer = body.collect().await.unwrap();
    let trailers = answer.trailers().cloned().unwrap_or(head.headers);
    let status = trailers["grpc-status"].to_str().unwrap().to_string();

    let mut said = Vec::new();
    let mut rest: Bytes = answer.to_bytes();
    while rest.has_remaining() {
        rest.advance(1);
        let length = rest.get_u32() as usize;
        let message = ServerReflectionResponse::decode(rest.split_to(length)).unwrap();
        said.push(match message.message_response {
            Some(MessageResponse::FileDescriptorResponse(_)) => "file".to_string(),
            Some(MessageResponse::ErrorResponse(e)) => format!("error_response {}", e.error_code),
            other => format!("{other:?}"),
        });
    }
    said.push(format!("grpc-status {status}"));
    said.join(", ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let both = ask(&[KNOWN, KNOWN]).await;
    let miss = ask(&[KNOWN, UNKNOWN, KNOWN]).await;
    println!("  known, known:          {both}");
    println!("  known, unknown, known: {miss}");
    let same = both == "file, file, grpc-status 0" && miss == "file, grpc-status 5";
    std::process::exit(if same { 0 } else { 1 });
}
RUST

echo "tonic-reflection 0.14.9: file_containing_symbol for several symbols on one ServerReflectionInfo stream."
cargo build --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
echo "Expected for the second: file, error_response 5, file, grpc-status 0."
echo "Seen:"
if "$dir/target/debug/trial"; then
    echo "As described: the unknown symbol ends the stream with NOT_FOUND, the one behind it is not answered."
else
    echo "CHANGED: this is no longer what tonic-reflection does."
    exit 1
fi
