//! Servers that end connections which are idle, old, or used up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::child::{Program, Stderr};
use bench::sample::Sample;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{Row, Use};
use crate::args::Table;
use crate::caller::{Caller, Target};
use crate::health::Health;
use crate::outcome::{Outcome, Verdict, failure, more_lost};
use crate::servers::{Running, Server, kept, tools};
use crate::site::Site;

/// How calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// One every two seconds, and on a connection of its own one every six.
    Idle,
    /// 200 a second.
    Busy,
}

pub(super) const PATTERNS: &[(Pattern, &str, &str)] = &[
    (Pattern::Idle, "idle", "a call every 2 s, and every 6 s"),
    (Pattern::Busy, "busy", "200 calls a second"),
];

pub(super) const SERVERS: &[Server] = &[
    Server::GoAge,
    Server::GoIdle,
    Server::CCoreAge,
    Server::CCoreIdle,
    Server::Hypercorn,
    Server::Apache,
    Server::HaProxy,
    Server::EnvoyAge,
    Server::EnvoyIdle,
    Server::Nginx100,
];

/// Between two calls, and by how much that varies either way, in milliseconds.
type Pace = (u64, u64);

impl Pattern {
    fn paces(self) -> &'static [Pace] {
        match self {
            Self::Idle => &[(2000, 500), (6000, 500)],
            Self::Busy => &[(5, 0)],
        }
    }
}

/// Measures rows of one pattern at the same time, at one hub.
pub(crate) async fn measure(table: &Table, rows: &[&Row]) -> Result<Vec<Outcome>> {
    let mut site = Site::start(table, &[])?;
    let mut all = JoinSet::new();
    for (index, row) in rows.iter().enumerate() {
        if let Use::Closing(server, pattern) = row.what {
            let started = start(table, &mut site, server, pattern);
            let length = table.length();
            all.spawn(async move { (index, outcome(started, length).await) });
        }
    }
    let mut outcomes = all.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    let dead = site.dead();
    let outcomes = outcomes.into_iter().map(|(_, outcome)| match &dead {
        Some(dead) => Outcome { verdict: Verdict::Broken(vec![dead.clone()]), ..outcome },
        None => outcome,
    });
    Ok(outcomes.collect())
}

/// A server that runs, and who calls it how.
struct Started {
    server: Server,
    _running: Running,
    /// Each directly, and through the hub.
    calls: Vec<(Calls, Calls)>,
    health: Vec<Health>,
}

fn start(
    table: &Table,
    site: &mut Site,
    server: Server,
    pattern: Pattern,
) -> Result<Option<Started>> {
    let go = tools(table).join("go");
    if server.missing(table).is_some() || server.is_grpc() && !go.exists() {
        return Ok(None);
    }
    let running = Running::start(table, server)?;
    let (mut calls, mut health) = (Vec::new(), Vec::new());
    for pace in pattern.paces() {
        // A name each, so that none keeps the connection of another alive.
        let name = format!("{}-{}", server.id(), pace.0);
        site.agent(&name, running.address)?;
        health.push(Health::watch(&site.target(&name), &name));
        let by = |target| Calls { target, server, pace: *pace, go: go.clone() };
        calls.push((by(running.target()), by(site.target(&name))));
    }
    Ok(Some(Started { server, _running: running, calls, health }))
}

async fn outcome(started: Result<Option<Started>>, length: Duration) -> Outcome {
    let started = match started {
        Ok(Some(started)) => started,
        Ok(None) => return Outcome::missing("not installed"),
        Err(error) => return Outcome::broken(format!("{error:#}")),
    };
    let (mut direct, mut hub) = (JoinSet::new(), JoinSet::new());
    for (directly, through) in started.calls {
        direct.spawn(directly.made(length));
        hub.spawn(through.made(length));
    }
    let (direct, hub) = tokio::join!(merged(direct), merged(hub));
    let otherwise: u64 = started.health.iter().map(Health::otherwise).sum();
    let mut ways = Vec::new();
    if direct.calls() == 0 {
        ways.push("not even direct".to_owned());
    }
    if more_lost(direct.failed(), hub.failed()) || hub.calls() == 0 {
        ways.push(
            failure(&hub).unwrap_or_else(|| format!("no calls at {}", started.server.words())),
        );
    }
    if otherwise > 0 {
        ways.push(format!("health not SERVING {otherwise} times"));
    }
    let health = if otherwise > 0 { String::new() } else { ", health SERVING".to_owned() };
    let hub = format!("{}{health}", lost(&hub));
    Outcome { direct: lost(&direct), hub, verdict: Verdict::of(ways) }
}

async fn merged(samples: JoinSet<Sample>) -> Sample {
    let mut all = Sample::default();
    samples.join_all().await.iter().for_each(|sample| all.merge(sample));
    all
}

fn lost(sample: &Sample) -> String {
    let all = sample.failed() + sample.calls() as u64;
    let why = failure(sample).map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{} of {all} lost{why}", sample.failed())
}

/// Calls on one connection.
struct Calls {
    target: Target,
    server: Server,
    pace: Pace,
    /// grpc-go, which calls servers of gRPC.
    go: std::path::PathBuf,
}

impl Calls {
    async fn made(self, length: Duration) -> Sample {
        if !self.server.is_grpc() {
            return self.by_h2(length).await;
        }
        let by_go = self.by_go(length).await;
        by_go.unwrap_or_else(|error| {
            let mut sample = Sample::default();
            sample.add(Err(format!("{error:#}")));
            sample
        })
    }

    async fn by_h2(self, length: Duration) -> Sample {
        let caller = Caller::new(self.target.clone());
        let until = Instant::now() + length;
        let (mut all, mut sample) = (JoinSet::new(), Sample::default());
        let mut ticks = interval(Duration::from_millis(self.pace.0));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while Instant::now() < until {
            if self.pace.1 == 0 {
                ticks.tick().await;
            } else {
                sleep(jittered(self.pace)).await;
            }
            all.spawn(call(caller.clone(), self.server));
            // What has ended holds memory until it is taken.
            while let Some(Ok(call)) = all.try_join_next() {
                sample.add(call);
            }
        }
        all.join_all().await.into_iter().for_each(|call| sample.add(call));
        sample
    }

    /// A process of its own, which tells what became of its calls when all are done.
    async fn by_go(self, length: Duration) -> Result<Sample> {
        const LAST_CALLS: Duration = Duration::from_secs(15);
        const LOOK: Duration = Duration::from_millis(100);
        let dir = TempDir::new()?;
        let args = self.arguments(length);
        let args = kept(&self.go, args)?;
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let own = std::env::current_exe()?;
        let mut program = Program::start(dir.path(), "caller", &own, &args, Stderr::File)?;
        let until = Instant::now() + length + LAST_CALLS;
        while program.runs() && Instant::now() < until {
            sleep(LOOK).await;
        }
        told(&program.text()).with_context(|| {
            format!("the caller in Go did not tell, but: {:?}", program.text().lines().next_back())
        })
    }

    fn arguments(&self, length: Duration) -> Vec<String> {
        let (address, name) = (self.target.address.to_string(), self.target.name.clone());
        let seconds = format!("{}s", length.as_secs());
        let [pace, jitter] = [self.pace.0, self.pace.1].map(|millis| format!("{millis}ms"));
        let name = name.unwrap_or_default();
        let flags = [
            ("-to", address),
            ("-name", name),
            ("-for", seconds),
            ("-every", pace),
            ("-jitter", jitter),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        ["call".to_owned()].into_iter().chain(flags).collect()
    }
}

async fn call(caller: Arc<Caller>, server: Server) -> Result<Duration, String> {
    let since = Instant::now();
    caller.call(&server.echo()).await.map(|_| since.elapsed())
}

fn jittered((every, jitter): Pace) -> Duration {
    Duration::from_millis(fastrand::u64(every - jitter..=every + jitter))
}

/// Lines `ok MICROSECONDS` and `lost REASON`.
fn told(text: &str) -> Option<Sample> {
    let mut sample = Sample::default();
    for line in text.lines() {
        match line.split_once(' ')? {
            ("ok", micros) => sample.add(Ok(Duration::from_micros(micros.parse().ok()?))),
            ("lost", reason) => sample.add(Err(reason.to_owned())),
            ("done", _) => return Some(sample),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_in_go_tells_counts_when_it_is_complete() {
        let sample = told("ok 1000\nlost Unavailable: gone\nok 3\ndone 3\n").unwrap();
        assert_eq!((sample.calls(), sample.failed()), (2, 1));
        assert!(told("ok 1000\n").is_none());
        assert!(told("panic: nothing works\n").is_none());
    }
}
