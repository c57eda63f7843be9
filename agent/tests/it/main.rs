//! The built programs `hub` and `agent` as processes, on loopback: what the command line, the files, the
//! network and the signals of an operating system do to them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "so tests fail")]

mod admin;
mod drain;
mod files;
mod fluentd;
mod garbage;
mod help;
mod hubs;
mod keepalive;
mod lanes;
mod loss;
mod names;
mod proxy;
mod refused;
mod registration;
mod reload;
mod secrets;
mod succession;
mod support;
mod tidy;
mod tls_mismatch;
mod upstream;
mod usage;
mod waiting;
