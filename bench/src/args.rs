//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures each abuse of a hub: what a bystander's calls notice, and what it costs the hub in memory.
#[derive(Debug, Parser)]
#[command(name = "isolation", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) table: Table,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What to measure, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Table {
    /// The hub's program [default: beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) hub: Option<PathBuf>,
    /// The agent's program [default: beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Only rows whose id or words have this in them; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// Length of one window in seconds
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// Windows alone and windows beside, in turns
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) pairs: u64,
    /// How the bystander calls
    #[arg(long, value_enum, default_value_t = Load::One)]
    pub(crate) load: Load,
    /// Folder with Netty's jars, for the rows about Netty itself
    #[arg(long, value_name = "DIR")]
    pub(crate) netty: Option<PathBuf>,
    /// Envoy's program, for the rows through it
    #[arg(long, value_name = "FILE", default_value = ".tools/honest/envoy")]
    pub(crate) envoy: PathBuf,
    /// Put the table between the marks of this file, too; with --only, its rows in place of the old ones
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Only say which rows there are
    #[arg(long)]
    pub(crate) list: bool,
}

/// How the bystander calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    /// The next call when the last has ended
    One,
    /// Four such loops on one connection
    Four,
    /// 200 calls a second, whatever becomes of them
    Paced,
}

impl Front {
    /// As its makers write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nghttpx => "nghttpx",
            Self::Envoy => "Envoy",
        }
    }
}

/// The other parts that this program plays, as processes of their own.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The server behind the agent
    Upstream {
        /// Which one
        #[arg(long, value_enum)]
        kind: Kind,
        /// Netty's jars
        #[arg(long, value_name = "DIR")]
        netty: Option<PathBuf>,
        /// Where to listen, but for Netty and nginx; the address is printed
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// The one who misbehaves, until its standard input ends
    Abuse(AbuseArgs),
    /// The proxy before the hub
    Front {
        /// Which one
        #[arg(long, value_enum)]
        kind: Front,
        /// Where the hub listens
        #[arg(long)]
        hub: SocketAddr,
        /// Envoy's program
        #[arg(long, value_name = "FILE")]
        envoy: PathBuf,
    },
}

/// How to misbehave.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AbuseArgs {
    /// Which way
    pub(crate) kind: String,
    /// Where the hub listens, or the front
    #[arg(long)]
    pub(crate) hub: SocketAddr,
    /// The name that the bystander calls, too
    #[arg(long)]
    pub(crate) name: String,
    /// The caller's credential
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// How many do so at once, each on connections of its own
    #[arg(long, default_value_t = 1)]
    pub(crate) callers: usize,
}

/// Proxies that put all their callers on one connection to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Front {
    /// nghttpx, if it is installed
    Nghttpx,
    /// Envoy, if `--envoy` says where it is
    Envoy,
}

/// Servers behind the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// tonic as it comes: 20 pending-accept resets, 1 MiB connection window, any number of streams
    Tonic,
    /// tonic with `max_concurrent_streams(100)`
    Limit100,
    /// h2 without guards and with the largest connection window
    H2,
    /// h2 that ends a connection on more than 200 resets in 30 s, as Netty does
    LikeNetty,
    /// Netty itself, if `--netty` says where it is
    Netty,
    /// nginx, if it is installed
    Nginx,
}
