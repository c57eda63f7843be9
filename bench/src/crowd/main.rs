//! Crowds that do nothing but be there: what a hub has to bear them, is measured by whoever starts this.
//!
//! ```text
//! crowd agents HUB_URI COUNT             agents, each with one session and a name of its own: idle-0, idle-1, …
//! crowd passing HUB_URI RATE             so many agents a second, each of which leaves again: passing-0, passing-1, …
//! crowd callers ADDRESS NAME COUNT       client connections, each with one call behind it
//! crowd streams ADDRESS NAME COUNT       calls that never end, 200 on a connection
//! crowd stalled ADDRESS NAME COUNT       downloads that go as fast as they can for five seconds, and then are not read
//! ```
//!
//! Says `there COUNT` when all are, and stays until standard input ends. Agents are there when the hub says so.

mod agents;
mod streams;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bench::role::{announce, wait_for_end_of_input};
use clap::{Parser, Subcommand};
use tokio::runtime;
use tokio::task::JoinSet;
use tunnel::program::raise_open_files;

use self::agents::{Fleet, Passing};
use self::streams::Hub;

/// A crowd that does nothing but be there, until standard input ends
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    crowd: Crowd,
}

#[derive(Clone, Debug, Subcommand)]
enum Crowd {
    /// Agents without a call
    Agents {
        #[command(flatten)]
        fleet: Fleet,
        count: usize,
    },
    /// Agents that come and go
    Passing(Passing),
    /// Client connections without a call
    Callers { address: SocketAddr, name: String, count: usize },
    /// Calls that never end
    Streams { address: SocketAddr, name: String, count: usize },
    /// Downloads that are not read any more
    Stalled { address: SocketAddr, name: String, count: usize },
}

/// Streams of one connection: fewer than any hub takes.
const ON_A_CONNECTION: usize = 200;
/// How long a download is read: long enough for windows that follow the link.
const FLOWS: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let args = Args::parse();
    let _ = raise_open_files();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        if let Err(error) = runtime.block_on(gather(args.crowd)) {
            announce(&format!("failed: {error:?}"));
        }
    });
    wait_for_end_of_input()
}

/// Returns if they go away.
async fn gather(crowd: Crowd) -> Result<()> {
    match crowd {
        Crowd::Agents { fleet, count } => fleet.stay(count).await,
        Crowd::Passing(passing) => passing.pass().await,
        Crowd::Callers { address, name, count } => {
            let hub = Hub { address, name };
            let mut there = Vec::new();
            for _ in 0..count {
                let connection = hub.connect().await?;
                hub.echo(&connection).await?;
                there.push(connection);
            }
            stay(count, there).await
        }
        Crowd::Streams { address, name, count } => {
            let hub = Hub { address, name };
            let mut there = Vec::new();
            while there.len() < count {
                let connection = hub.connect().await?;
                for _ in 0..ON_A_CONNECTION.min(count - there.len()) {
                    there.push(hub.begin(&connection, "Head").await?);
                }
            }
            stay(count, there).await
        }
        Crowd::Stalled { address, name, count } => {
            let hub = Hub { address, name };
            let mut flowing = JoinSet::new();
            for _ in 0..count {
                let connection = hub.connect().await?;
                flowing.spawn(hub.begin(&connection, "Bulk").await?.flow(FLOWS));
            }
            let mut there = Vec::new();
            while let Some(stalled) = flowing.join_next().await {
                there.push(stalled??);
            }
            stay(count, there).await
        }
    }
}

async fn stay<T>(count: usize, _there: Vec<T>) -> Result<()> {
    announce(&format!("there {count}"));
    std::future::pending().await
}
