//! A caller that never stops, and counts every call: what becomes of calls while something breaks.
//!
//! It behaves as gRPC's clients do: a connection that is lost or left (GOAWAY) is dialled anew at once, and a call that
//! nobody has processed (REFUSED_STREAM, behind the last stream of GOAWAY, never sent) is made again, as they do without
//! asking. Every message is its call's own, and so must the answer be. Each call has its deadline, of which the server is told.
//!
//! ```text
//! mark              counts anew from now on, besides: {"marked": …}
//! report LABEL      what has ended since the mark: {"report": LABEL, …}
//! stop              no more calls; when all have ended, all of it: {"final": true, …}
//! ```
//!
//! These are lines of standard input; its end stops, too. Exits with 1 if any call was lost, or did not end as it should.

mod args;
mod attempt;
mod call;
mod channel;
mod tally;
#[cfg(test)]
mod tests;
mod watch;

use std::io::{BufRead as _, stdin};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bench::role::announce;
use clap::Parser;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch as told};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tunnel::program::{fail, raise_open_files, usage};

use self::args::Args;
use self::call::Way;
use self::channel::Channel;
use self::tally::Tally;

/// For what is still open when all deadlines have passed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of the orders that wait.
const ORDERS: usize = 16;

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) args: Args,
    pub(crate) tally: Mutex<Tally>,
    stopped: told::Sender<bool>,
}

impl Shared {
    /// Whether no more calls are to begin.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let _ = raise_open_files();
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail("steady", &error),
    }
}

/// Whether all went well. One thread, as `load` has.
#[tokio::main(flavor = "current_thread")]
async fn run(args: Args) -> Result<bool> {
    let (every, holds_watch, deadline) = (args.every, args.watch, args.deadline + args.stream_life);
    let (tally, stopped) = (Mutex::new(Tally::new()?), told::Sender::new(false));
    let shared = Arc::new(Shared { args, tally, stopped });
    if holds_watch {
        let shared = shared.clone();
        tokio::spawn(async move { shared.watch().await });
    }
    let calls = tokio::spawn(calls(shared.clone()));
    let telling = async {
        let Some(every) = every else { return std::future::pending().await };
        let mut ticks = interval(every);
        loop {
            ticks.tick().await;
            told("progress", true.into(), shared.tally.lock().report());
        }
    };
    tokio::select! {
        () = telling => {}
        () = obey(&shared) => {}
    }
    shared.stopped.send_replace(true);
    // What has not ended by then is told as open.
    let _ = timeout(deadline + PATIENCE, calls).await;
    told("final", true.into(), shared.tally.lock().report());
    let is_good = shared.tally.lock().is_good();
    Ok(is_good)
}

/// Begins all calls, and returns when they have ended.
async fn calls(shared: Arc<Shared>) {
    let args = &shared.args;
    let mut running = JoinSet::new();
    let channels: Vec<_> =
        (0..args.connections).map(|_| Channel::new(args.address, args.redial)).collect();
    // Every connection calls every name.
    let ways: Vec<_> = match &args.names[..] {
        [] => channels.iter().map(|channel| Way { channel: channel.clone(), name: None }).collect(),
        names => names
            .iter()
            .flat_map(|name| {
                channels
                    .iter()
                    .map(|channel| Way { channel: channel.clone(), name: Some(name.clone()) })
            })
            .collect(),
    };
    for way in ways.iter().cycle().take(args.streams.into()) {
        let (shared, way) = (shared.clone(), way.clone());
        running.spawn(async move { shared.streams(&way).await });
    }
    let mut stops = shared.stopped.subscribe();
    tokio::select! {
        _ = stops.wait_for(|is_stopped| *is_stopped) => {}
        () = unary(&shared, &ways, &mut running) => {}
    }
    let _ = stops.wait_for(|is_stopped| *is_stopped).await;
    while running.join_next().await.is_some() {}
}

/// Unary calls at their times, all that there are to be.
async fn unary(shared: &Arc<Shared>, ways: &[Way], running: &mut JoinSet<()>) {
    const SECOND: u64 = 1_000_000_000;
    if shared.args.rate == 0 {
        return;
    }
    let (start, all) = (Instant::now(), shared.args.calls.unwrap_or(u64::MAX));
    for (number, way) in (0..all).zip(ways.iter().cycle()) {
        let due = start + Duration::from_nanos(number * SECOND / u64::from(shared.args.rate));
        sleep_until(due).await;
        while running.try_join_next().is_some() {}
        let (shared, way) = (shared.clone(), way.clone());
        running.spawn(async move { shared.unary(&way, due).await });
    }
}

/// Returns when told to stop.
async fn obey(shared: &Shared) {
    let (sender, mut orders) = mpsc::channel(ORDERS);
    thread::spawn(move || {
        let mut lines = stdin().lock().lines().map_while(Result::ok);
        lines.try_for_each(|line| sender.blocking_send(line))
    });
    while let Some(order) = orders.recv().await {
        match order.split_whitespace().collect::<Vec<_>>()[..] {
            ["mark"] => match shared.tally.lock().mark() {
                Ok(()) => told("marked", true.into(), json!({})),
                Err(error) => told("error", error.to_string().into(), json!({})),
            },
            ["report", label] => told("report", label.into(), shared.tally.lock().since_mark()),
            ["stop"] => return,
            _ => told("error", order.into(), json!({})),
        }
    }
}

/// Tells a line of JSON.
fn told(what: &str, label: Value, mut report: Value) {
    report[what] = label;
    announce(&report.to_string());
}
