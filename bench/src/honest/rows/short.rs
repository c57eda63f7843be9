//! A connection for each call.

use std::time::Duration;

use anyhow::Result;
use bench::sample::Sample;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::Table;
use crate::caller::{Ask, Caller, Target};
use crate::outcome::{Outcome, Verdict, failure};
use crate::server::ECHO;
use crate::servers::{Running, Server};
use crate::site::Site;

/// Connections in all, in turns: what the machine does besides meets all ways.
const TURNS: usize = 10;
const PER_TURN: usize = 100;
/// Before anything is counted.
const WARM_UP: usize = 20;
/// How much slower than another build is more than noise.
const SLOWER: f64 = 1.2;

/// Direct, through the hub, and through that of another build if there is one.
pub(super) async fn measure(table: &Table, at_once: usize) -> Result<Outcome> {
    let server = Running::start(table, Server::Tonic)?;
    let mut sites = vec![Site::start(table, &[])?];
    if let Some(folder) = &table.base {
        sites.push(Site::base(folder)?);
    }
    let mut ways = vec![Way::to(server.target())];
    for site in &mut sites {
        site.agent("short", server.address)?;
        ways.push(Way::to(site.target("short")));
    }
    for way in &ways {
        turn(&way.target, WARM_UP, at_once).await;
    }
    for _ in 0..TURNS {
        for way in &mut ways {
            let since = Instant::now();
            way.sample.merge(&turn(&way.target, PER_TURN, at_once).await);
            way.took += since.elapsed();
        }
    }
    let mut broken = Vec::from_iter(sites[0].dead().or_else(|| failure(&ways[1].sample)));
    if ways.get(2).is_some_and(|base| ways[1].is_slower_than(base)) {
        broken.push("slower than the other build".to_owned());
    }
    let base = ways.get(2).map(|base| format!(" (other build: {})", base.told()));
    let hub = format!("{}{}", ways[1].told(), base.unwrap_or_default());
    Ok(Outcome { direct: ways[0].told(), hub, verdict: Verdict::of(broken) })
}

/// One way to the server, and how it went.
struct Way {
    target: Target,
    sample: Sample,
    took: Duration,
}

impl Way {
    fn to(target: Target) -> Self {
        Self { target, sample: Sample::default(), took: Duration::ZERO }
    }

    fn median(&self) -> f64 {
        self.sample.quantile(0.5).unwrap_or(f64::INFINITY)
    }

    fn per_second(&self) -> f64 {
        self.sample.calls() as f64 / self.took.as_secs_f64()
    }

    fn is_slower_than(&self, base: &Self) -> bool {
        self.median() > base.median() * SLOWER && self.per_second() * SLOWER < base.per_second()
    }

    fn told(&self) -> String {
        format!("p50 {:.2} ms, {:.0} calls/s", self.median(), self.per_second())
    }
}

async fn turn(target: &Target, count: usize, at_once: usize) -> Sample {
    let mut loops = JoinSet::new();
    for number in 0..at_once {
        let target = target.clone();
        // As many in all as asked for.
        let share = count / at_once + usize::from(number < count % at_once);
        loops.spawn(async move {
            let mut sample = Sample::default();
            for _ in 0..share {
                let since = Instant::now();
                let call = Caller::new(target.clone()).call(&Ask::grpc(ECHO, 64)).await;
                sample.add(call.map(|_| since.elapsed()));
            }
            sample
        });
    }
    let mut sample = Sample::default();
    loops.join_all().await.iter().for_each(|one| sample.merge(one));
    sample
}
