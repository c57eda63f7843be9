//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures uses of a server that proxies spoil: directly, and through the hub.
#[derive(Debug, Parser)]
#[command(name = "honest", version, args_conflicts_with_subcommands = true)]
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
    /// Folder with the `hub` and `agent` of another build, to compare with where that is of use
    #[arg(long, value_name = "DIR")]
    pub(crate) base: Option<PathBuf>,
    /// Only rows whose id or words have this in them; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// Length of what takes as long as one likes, in seconds [default: 600, with --quick 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: Option<u64>,
    /// Everything shorter: to see whether it works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Folder with the servers and callers in other languages, as bench/servers/install.sh makes it
    #[arg(long, value_name = "DIR", default_value = ".tools/honest")]
    pub(crate) tools: PathBuf,
    /// Put the table between the marks of this file, too; with --only, its rows in place of the old ones
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Only say which rows there are
    #[arg(long)]
    pub(crate) list: bool,
}

impl Table {
    /// How long what has no length of its own takes.
    pub(crate) fn length(&self) -> Duration {
        const USUAL: u64 = 600;
        const QUICK: u64 = 20;
        let usual = if self.quick { QUICK } else { USUAL };
        Duration::from_secs(self.seconds.unwrap_or(usual))
    }
}

/// The other parts that this program plays, as processes of their own.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The server behind the agent
    Server {
        /// How many streams it allows a connection
        #[arg(long)]
        streams: Option<u32>,
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:0")]
        address: SocketAddr,
    },
    /// Runs a program, and ends it when standard input ends
    Keep {
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}
