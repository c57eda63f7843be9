//! Hubs and agents in this process, with real sockets on loopback between them, tonic and raw `h2` peers.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "so tests fail")]

mod agent;
mod call;
mod front;
mod isolation;
mod peers;
mod services;
mod support;
mod web;
