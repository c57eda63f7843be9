//! Those who misbehave: HTTP/2 frames by hand, over blocking sockets, as fast as one process can.

mod agents;
mod busy;
mod cancel;
mod flood;
mod frames;
mod half;
mod headers;
mod hold;
mod tally;
mod websocket;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::role::{announce, wait_for_end_of_input};
use tunnel::wire::HUB_TOKEN;

use crate::args::AbuseArgs;
use tally::Tally;

/// How far down the abuser stands in the scheduler's favour, so that it does not take the processor
/// from the bystander by merely running beside it.
const NICE: i32 = 10;
/// Between two connections, if one fails: a refused connection would make for a busy loop.
const AGAIN: Duration = Duration::from_millis(1);

/// Whom to do it to.
#[derive(Clone)]
struct Target {
    hub: SocketAddr,
    name: String,
    /// Who it is, if the hub wants to know.
    token: Option<String>,
    /// Somebody who reads, with the priority of a server.
    sink: SocketAddr,
}

impl Target {
    /// The head of a gRPC call of the name, as [`frames::request`].
    fn request(&self, path: &str) -> Vec<u8> {
        let mut block = frames::request(Some(&self.name), path);
        if let Some(token) = &self.token {
            block.extend(frames::literal(HUB_TOKEN, token.as_bytes()));
        }
        block
    }
}

/// One way to misbehave: runs until it fails, and is then run again.
type Abuse = fn(&Target, &'static Tally) -> io::Result<()>;

/// All of them, by the word that [`run`] takes.
const ABUSES: &[&[(&str, Abuse)]] = &[
    busy::ABUSES,
    hold::ABUSES,
    cancel::ABUSES,
    flood::ABUSES,
    headers::ABUSES,
    half::ABUSES,
    agents::ABUSES,
];

/// Misbehaves until standard input ends, and then tells in one line what it has done.
pub(crate) fn run(asked: AbuseArgs) -> Result<()> {
    let AbuseArgs { kind, hub, name, token, callers } = asked;
    let mut all = ABUSES.iter().copied().flatten();
    let abuse = all.find(|(id, _)| *id == kind).with_context(|| format!("no abuse {kind}"))?.1;
    let tally: &'static Tally = Box::leak(Box::new(Tally::new(announce)));
    let target = Target { hub, name, token, sink: busy::sink()? };
    for _ in 0..callers {
        let target = target.clone();
        thread::spawn(move || {
            // On Linux this is about one thread, and those that it starts. If it fails, the abuser only
            // gets more of the processor.
            let _ = rustix::process::nice(NICE);
            loop {
                if let Err(error) = abuse(&target, tally) {
                    tally.failed(&error);
                }
                thread::sleep(AGAIN);
            }
        });
    }
    wait_for_end_of_input()?;
    announce(&tally.to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rows::{self, COMPARISON};

    #[test]
    fn every_row_has_its_abuse_and_every_abuse_its_row() {
        let here: BTreeSet<_> = ABUSES.iter().copied().flatten().map(|(id, _)| *id).collect();
        let rows = || COMPARISON.iter().copied().chain(rows::all());
        let asked: BTreeSet<_> = rows().map(|row| row.abuse).collect();
        assert_eq!(here, asked);
        let ids: BTreeSet<_> = rows().map(|row| row.id()).collect();
        assert_eq!(ids.len(), rows().count(), "two rows with one id");
        let words: BTreeSet<_> = rows().map(|row| row.words()).collect();
        assert_eq!(words.len(), rows().count(), "two rows with the same words");
    }
}
