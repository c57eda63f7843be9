//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{ArgGroup, Parser, value_parser};
use http::HeaderValue;

use crate::kind::Kind;

/// The longest message, as much as most servers of gRPC take.
const LONGEST: i64 = 4 << 20;

/// Loads a server with calls, checks every one, and prints what became of them as JSON.
#[derive(Debug, Parser)]
#[command(
    name = "load",
    version,
    group(ArgGroup::new("pace").required(true).args(["at_once", "rate"])),
    group(ArgGroup::new("length").required(true).args(["calls", "seconds"])),
)]
pub(crate) struct Args {
    /// The hub, a hop, or the server itself
    pub(crate) address: SocketAddr,
    /// Whom to ask a hub for
    #[arg(long)]
    pub(crate) name: Option<HeaderValue>,
    /// Call over TLS and believe this CA
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Which kind of method to call
    #[arg(long, value_enum)]
    pub(crate) kind: Kind,
    /// Connections, all of them open before the first call
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Closed loop: so many calls on each connection, the next when one has ended
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    pub(crate) at_once: Option<u16>,
    /// Open loop: so many calls a second on all connections together, whatever becomes of those before
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,
    /// So many calls in all
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    pub(crate) calls: Option<u64>,
    /// Calls begin for so long
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: Option<u64>,
    /// Bytes of each message that is sent
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = value_parser!(u32).range(..=LONGEST))]
    pub(crate) request: u32,
    /// Bytes of each message that is to come [default: as many]
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u32).range(..=LONGEST))]
    answer: Option<u32>,
    /// Messages of a stream
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    pub(crate) messages: u32,
}

impl Args {
    /// Bytes of each message that is to come.
    pub(crate) fn answer(&self) -> u32 {
        self.answer.unwrap_or(self.request)
    }

    /// Returns an error for what makes no sense together.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.kind != Kind::Unary || self.messages == 1, "a unary call has one message");
        if self.kind == Kind::BothWays {
            ensure!(self.answer() == self.request, "both ways, messages come back as they are");
            ensure!(self.rate.is_none(), "both ways, a message waits for the one before");
        }
        Ok(())
    }
}
