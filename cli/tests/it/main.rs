//! The built program against servers in this process, on loopback.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "so tests fail")]

mod call;
mod connection;
mod ending;
mod hub;
mod reflection;
mod support;
mod usage;
