//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, value_parser};
use http::HeaderValue;
use humantime::parse_duration;

/// Calls without a pause, as gRPC clients do, and tells as JSON what became of every call
#[derive(Debug, Parser)]
#[command(name = "steady", version)]
pub(crate) struct Args {
    /// The hub, or the server itself
    pub(crate) address: SocketAddr,
    /// Whom to ask a hub for; calls take turns over several
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<HeaderValue>,
    /// What the hub wants to hear of callers
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<HeaderValue>,
    /// Connections, each dialled anew when it is lost or said to be left
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Unary calls a second, on all connections together, whatever becomes of those before; 0: none
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = value_parser!(u32).range(..=100_000))]
    pub(crate) rate: u32,
    /// So many unary calls in all [default: until told to stop]
    #[arg(long, value_name = "N")]
    pub(crate) calls: Option<u64>,
    /// Streams both ways at once
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) streams: u16,
    /// How long a stream lives before it is ended and another begun
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) stream_life: Duration,
    /// Between two messages of a stream
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_duration)]
    pub(crate) message_every: Duration,
    /// How long a unary call may take; a stream may take its life more
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub(crate) deadline: Duration,
    /// After a connection that did not come about: gRPC's clients begin with a second, and calls fail meanwhile
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_duration)]
    pub(crate) redial: Duration,
    /// Hold a Watch of the hub's health, on a connection of its own
    #[arg(long)]
    pub(crate) watch: bool,
    /// Tell each while how it stands
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) every: Option<Duration>,
}
