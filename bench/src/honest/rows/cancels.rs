//! Calls that their caller cancels, and what becomes of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use bench::sample::Sample;
use h2::Reason;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::args::Table;
use crate::caller::{Caller, Target, refused};
use crate::outcome::{Outcome, Verdict, failure, more_lost};
use crate::servers::{Running, Server};
use crate::site::Site;

/// Who cancels how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancels {
    /// Each fifth call.
    Fifth,
    /// All, but for those of the calls beside them on the same connection.
    Storm,
}

pub(super) const KINDS: &[(Cancels, &str, &str)] = &[
    (Cancels::Fifth, "cancels", "5,000 calls, each fifth cancelled"),
    (Cancels::Storm, "cancel-storm", "2,000 cancelled calls beside others on their connection"),
];

pub(super) const SERVERS: &[Server] =
    &[Server::CCore, Server::Go, Server::Tonic, Server::Node, Server::Nginx];

/// How many calls at a time.
const AT_ONCE: u64 = 16;
/// Of the calls beside a storm.
const BESIDE: u64 = 4;
/// How long one may take to begin.
const BEGINS: Duration = Duration::from_secs(10);
/// How long all may take: most take two seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a handler may take to notice.
const NOTICED_MS: f64 = 100.0;
/// Beyond what it takes directly: a machine that is busy elsewhere meets both, but not at the same moment.
const NOTICED_SLOWER: f64 = 1.5;
/// Beyond what all of them take directly, and a moment more: a way through a hub is two hops longer, but nobody is made to wait.
const SLOWER: f64 = 2.0;
const A_MOMENT: Duration = Duration::from_secs(1);
/// How long the last ones are waited for.
const LAST: Duration = Duration::from_millis(500);

/// Direct, and then through the hub, each at a server of its own.
pub(super) async fn measure(table: &Table, server: Server, kind: Cancels) -> Result<Outcome> {
    if let Some(why) = server.missing(table) {
        return Ok(Outcome::missing(why));
    }
    let running = Running::start(table, server)?;
    let direct = calls(&running, running.target(), server, kind).await;
    let running = Running::start(table, server)?;
    let mut site = Site::start(table, &[])?;
    site.agent("cancels", running.address)?;
    let hub = calls(&running, site.target("cancels"), server, kind).await;
    let mut ways = Vec::from_iter(site.dead());
    if direct.calls.calls() == 0 || direct.noticed.calls() == 0 {
        ways.push("not even direct".to_owned());
    }
    if more_lost(direct.calls.failed(), hub.calls.failed()) {
        ways.extend(failure(&hub.calls));
    }
    let latest = |cancelled: &Cancelled| cancelled.noticed.quantile(1.0).unwrap_or(0.0);
    if latest(&hub) > NOTICED_MS.max(latest(&direct) * NOTICED_SLOWER) {
        ways.push("noticed late".to_owned());
    }
    if hub.took > direct.took.mul_f64(SLOWER) + A_MOMENT {
        ways.push("slower".to_owned());
    }
    if more_lost(direct.noticed.failed(), hub.noticed.failed()) {
        ways.push(format!("{} cancels not noticed", hub.noticed.failed()));
    }
    Ok(Outcome { direct: direct.told(), hub: hub.told(), verdict: Verdict::of(ways) })
}

/// What became of calls.
struct Cancelled {
    /// Those that were not cancelled, and those that never began so that they could be.
    calls: Sample,
    /// How long each handler took to notice.
    noticed: Sample,
    /// Until the last call was over.
    took: Duration,
}

impl Cancelled {
    fn told(&self) -> String {
        let (failed, cancelled) = (self.calls.failed(), self.noticed.calls());
        let why = failure(&self.calls).map(|why| format!(" ({why})")).unwrap_or_default();
        let times = [0.5, 0.99, 1.0].map(|share| self.noticed.quantile(share).unwrap_or(f64::NAN));
        let [half, most, all] = times;
        format!(
            "{failed} failed{why}; {cancelled} cancels noticed after p50 {half:.1}, p99 {most:.1}, max {all:.1} ms; \
             all in {:.1} s",
            self.took.as_secs_f64()
        )
    }
}

/// What all loops of a row share.
struct Work {
    caller: Arc<Caller>,
    server: Server,
    kind: Cancels,
    /// The next call.
    next: AtomicU64,
    until: Instant,
    /// When each was cancelled, in nanoseconds since 1970.
    cancelled: Mutex<BTreeMap<u64, u128>>,
}

async fn calls(running: &Running, target: Target, server: Server, kind: Cancels) -> Cancelled {
    let since = Instant::now();
    let work = Arc::new(Work {
        caller: Caller::new(target),
        server,
        kind,
        next: AtomicU64::new(0),
        until: Instant::now() + PATIENCE,
        cancelled: Mutex::default(),
    });
    let mut loops = JoinSet::new();
    for _ in 0..AT_ONCE {
        loops.spawn(work.clone().calls());
    }
    if kind == Cancels::Storm {
        for _ in 0..BESIDE {
            loops.spawn(work.clone().beside());
        }
    }
    let mut calls = Sample::default();
    loops.join_all().await.iter().for_each(|sample| calls.merge(sample));
    let took = since.elapsed();
    sleep(LAST).await;
    let noticed = noticed(&running.text(), &work.cancelled.lock());
    Cancelled { calls, noticed, took }
}

impl Work {
    fn count(&self) -> u64 {
        match self.kind {
            Cancels::Fifth => 5_000,
            Cancels::Storm => 2_000,
        }
    }

    async fn calls(self: Arc<Self>) -> Sample {
        let mut sample = Sample::default();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count() {
                return sample;
            }
            if Instant::now() > self.until {
                sample.add(Err("not done in a minute".to_owned()));
            } else if self.kind == Cancels::Storm || number.is_multiple_of(5) {
                let cancelled = timeout(BEGINS, self.cancel(number)).await;
                let cancelled = cancelled.unwrap_or_else(|_| Err("not begun in 10 s".to_owned()));
                cancelled.unwrap_or_else(|why| sample.add(Err(why)));
            } else {
                sample.add(self.call().await);
            }
        }
    }

    /// Until the storm is over.
    async fn beside(self: Arc<Self>) -> Sample {
        let mut sample = Sample::default();
        while self.next.load(Ordering::Relaxed) < self.count() {
            sample.add(self.call().await);
        }
        sample
    }

    async fn call(&self) -> Result<Duration, String> {
        let since = Instant::now();
        self.caller.call(&self.server.echo()).await.map(|_| since.elapsed())
    }

    /// Begins a call, waits until its handler is at work, and cancels it.
    async fn cancel(&self, number: u64) -> Result<(), String> {
        let (mut send, response) = self.caller.begun(&self.server.hold(), number).await?;
        refused(response.headers())?;
        let mut body = response.into_body();
        let data = body.data().await.ok_or("it has ended")?.map_err(|error| error.to_string())?;
        // Else the connection's window would be used up in the end.
        body.flow_control().release_capacity(data.len()).map_err(|error| error.to_string())?;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.cancelled.lock().insert(number, now.as_nanos());
        send.send_reset(Reason::CANCEL);
        Ok(())
    }
}

/// How long after each cancel the server has said so: lines `gone NUMBER NANOSECONDS`.
fn noticed(text: &str, cancelled: &BTreeMap<u64, u128>) -> Sample {
    let gone = |line: &str| {
        let (number, nanos) = line.strip_prefix("gone ")?.split_once(' ')?;
        // nginx writes seconds with a fraction.
        Some((number.parse::<u64>().ok()?, nanos.replace('.', "").parse::<u128>().ok()?))
    };
    let gone: BTreeMap<_, _> = text.lines().filter_map(gone).collect();
    let mut sample = Sample::default();
    for (number, then) in cancelled {
        let after = gone.get(number).map(|nanos| nanos.saturating_sub(*then));
        let after = after.map(|nanos| u64::try_from(nanos).unwrap_or(u64::MAX));
        sample.add(after.map(Duration::from_nanos).ok_or_else(|| "not noticed".to_owned()));
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_compared_with_when_it_was_cancelled() {
        let cancelled = BTreeMap::from([(1, 2_000_000), (2, 3_000_000_000), (3, 1)]);
        let sample = noticed("listening\ngone 1 5000000\ngone 2 3.004000000\n", &cancelled);
        assert_eq!([0.0, 1.0].map(|share| sample.quantile(share)), [Some(3.0), Some(4.0)]);
        assert_eq!(sample.failed(), 1);
    }
}
