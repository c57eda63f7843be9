//! What is not plain HTTP/2: HTTP/1.1, gRPC-Web, Connect, browsers' preflights, and WebSockets over HTTP/2 (RFC 8441).
//!
//! ```text
//!  HTTP/1.1 connection --------------------------+      +-> agent::upgrade: an agent's session
//!  client connection <-> lane in memory: HTTP/2 -+-> requests -> cors: a preflight
//!                                                      +-> plain | grpc_web | connect -> calls -> client connection
//! ```
//!
//! Each connection has one of its own in memory, on which its calls are gRPC, or HTTP/2 as it is: routes, tokens, lanes,
//! limits, records and refusals are the same for all callers, and messages pass undecoded. Only what is around them is put in
//! other words.

mod answer;
pub(crate) mod body;
mod calls;
mod connect;
mod cors;
mod frames;
mod grpc_web;
pub(crate) mod http1;
pub(crate) mod lane;
mod outcome;
mod pending;
mod plain;
pub(crate) mod requests;
mod whole;
