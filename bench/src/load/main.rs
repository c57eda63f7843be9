//! A load generator for gRPC: closed loops, or calls at a fixed rate whose latency counts from when they were due.

mod args;
mod call;
mod check;
mod connection;
mod kind;
mod pace;
mod tally;
mod timer;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use args::Args;
use bytes::Bytes;
use call::Call;
use clap::Parser;
use h2::client::SendRequest;
use kind::Kind;
use pace::Left;
use parking_lot::Mutex;
use tally::Tally;
use timer::Timer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tunnel::program::{fail, usage};
use tunnel::tls::{Trust, client_config};

/// Beyond `--seconds`, all calls together: what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// After a failure, so that failing calls are not counted by the ten thousand.
const FAILURE_PAUSE: Duration = Duration::from_millis(5);

/// What all calls share.
struct Shared {
    call: Call,
    left: Left,
    tally: Mutex<Tally>,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail("load", &error),
    }
}

/// Whether all calls succeeded. One thread, as h2load has: how many a caller has is not what is measured.
#[tokio::main(flavor = "current_thread")]
async fn run(args: &Args) -> Result<bool> {
    args.check()?;
    let limit = PATIENCE + Duration::from_secs(args.seconds.unwrap_or_default());
    let shared = timeout(limit, load(args)).await.context("calls do not end")??;
    let has_failures = shared.tally.lock().has_failures();
    Ok(!has_failures)
}

/// Connects, makes all calls, and tells what became of them.
async fn load(args: &Args) -> Result<Arc<Shared>> {
    let (call, tally) = (Call::new(args)?, Mutex::new(Tally::new()?));
    let start = Instant::now();
    let connections = connect(args).await?;
    let connecting = start.elapsed();
    let start = Instant::now();
    let left = Left::new(args.calls, args.seconds.map(Duration::from_secs));
    let shared = Arc::new(Shared { call, left, tally });
    match args.rate {
        Some(rate) => open(rate, &shared, &connections).await?,
        None => closed(args.at_once.unwrap_or(1), &shared, &connections).await,
    }
    let report = shared.tally.lock().report(&shared.call, connecting, start.elapsed());
    writeln!(stdout(), "{report}")?;
    Ok(shared)
}

/// Opens all connections at once.
async fn connect(args: &Args) -> Result<Vec<SendRequest<Bytes>>> {
    let tls = args.tls_ca.clone().map(|ca| client_config(&Trust::CaFile(ca), &[b"h2"]));
    let tls = tls.transpose()?.map(TlsConnector::from);
    let mut opening = JoinSet::new();
    for _ in 0..args.connections {
        opening.spawn(connection::connect(args.address, tls.clone()));
    }
    let opened = opening.join_all().await.into_iter().collect::<Result<_>>();
    opened.map_err(|error| anyhow!("cannot connect: {error}"))
}

/// So many loops on each connection; the next call when one has ended.
async fn closed(at_once: u16, shared: &Arc<Shared>, connections: &[SendRequest<Bytes>]) {
    let mut loops = JoinSet::new();
    for streams in connections {
        for _ in 0..at_once {
            let (shared, mut streams) = (shared.clone(), streams.clone());
            loops.spawn(async move {
                loop {
                    let start = Instant::now();
                    if !shared.left.take(start) {
                        return;
                    }
                    if !shared.make(&mut streams, start).await {
                        sleep(FAILURE_PAUSE).await;
                    }
                }
            });
        }
    }
    loops.join_all().await;
}

/// Calls at a fixed rate, on all connections by turns.
async fn open(rate: u32, shared: &Arc<Shared>, connections: &[SendRequest<Bytes>]) -> Result<()> {
    let mut timer = Timer::new()?;
    let mut turns = connections.iter().cycle();
    let wait = async |due| drop(timer.until(due).await);
    let call = |due| {
        let (shared, streams) = (shared.clone(), turns.next().cloned());
        async move {
            if let Some(mut streams) = streams {
                shared.make(&mut streams, due).await;
            }
        }
    };
    if let Err(reason) = pace::open(rate, &shared.left, wait, call).await {
        shared.tally.lock().failed(reason);
    }
    Ok(())
}

impl Shared {
    /// Makes a call that was due at this time; whether it ended well.
    async fn make(&self, streams: &mut SendRequest<Bytes>, due: Instant) -> bool {
        let told = |time| self.tally.lock().took(time);
        let made = self.call.make(streams, told).await;
        let mut tally = self.tally.lock();
        match made {
            Ok(()) => {
                if self.call.kind != Kind::BothWays {
                    tally.took(due.elapsed());
                }
                tally.succeeded();
                true
            }
            Err(reason) => {
                tally.failed(reason);
                false
            }
        }
    }
}
