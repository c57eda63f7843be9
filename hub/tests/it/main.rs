//! Hubs and agents in this process, with real sockets on loopback between them, tonic and raw `h2` peers.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "so tests fail")]

mod activity;
mod auth;
mod bulk;
mod calls;
mod cancel;
mod clients;
mod drain;
mod floods;
mod flow;
mod header_lists;
mod health;
mod hostile;
mod http;
mod long_heads;
mod malformed;
mod many;
mod metadata;
mod metrics;
mod model;
mod paces;
mod reconnect;
mod refusals;
mod resets;
mod sessions;
mod shares;
mod streams;
mod support;
mod tls;
mod traps;
mod unread_frames;
mod windows;
