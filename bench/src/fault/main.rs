//! A TCP proxy that does to connections what networks do: it delays, slows, swallows, resets, ends and forgets them, on
//! order.
//!
//! It prints the port on which it listens. Each line of standard input is an order, answered with `ok` or `error: …`; it
//! holds from then on, for connections that are open, too. It ends when standard input does.
//!
//! ```text
//! pass                    everything, at once: what was ordered before holds no more
//! blackhole [up|down]     nothing is read, handed on or closed; who connects meanwhile hears nothing
//! half-close up|down      the reader of this way gets FIN, and its writer notices nothing
//! reset                   all open connections are reset
//! refuse                  who connects is reset
//! slice BYTES             no write is longer
//! latency 50ms            from one end to the other: half of a round trip
//! rate BYTES              a second, each way of a connection
//! age 30s|off             a connection is reset when it is so old
//! ```
//!
//! *Up* is from who has connected to `--to`. It is a process of its own, so that what it does takes no time of whoever is
//! measured. The kernel goes on to acknowledge what a black hole does not read: no TCP timeout ends such a connection,
//! only a program that misses an answer.

mod connection;
mod orders;
mod pipe;

use std::io::{BufRead as _, stdin};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::role::announce;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::sleep;
use tunnel::program::raise_open_files;

use self::orders::Rules;

/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// A TCP proxy that breaks connections on order
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the port is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where to connect to
    #[arg(long)]
    to: SocketAddr,

    /// From one end to the other: half of a round trip
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    latency: Duration,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // A crowd may go through it.
    let _ = raise_open_files();
    let mut first = Rules::default();
    first.latency = args.latency;
    let (orders, rules) = watch::channel(first);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(args.listen))?;
    announce(&listener.local_addr()?.port().to_string());
    thread::spawn(move || runtime.block_on(accept(&listener, args.to, &rules)));
    take(&orders)
}

/// Obeys until standard input ends.
fn take(orders: &watch::Sender<Rules>) -> Result<()> {
    for line in stdin().lock().lines() {
        let line = line.context("no standard input")?;
        let mut obeyed = Ok(());
        orders.send_modify(|rules| obeyed = rules.obey(&line));
        announce(&obeyed.map_or_else(|error| format!("error: {error}"), |()| "ok".to_owned()));
    }
    Ok(())
}

async fn accept(listener: &TcpListener, to: SocketAddr, rules: &watch::Receiver<Rules>) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(tokio::spawn(connection::serve(near, to, rules.clone()))),
            // Of a connection that is gone already, or too many of them.
            Err(_) => sleep(PAUSE).await,
        }
    }
}
