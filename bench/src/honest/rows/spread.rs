//! Two agents of one name, called over one connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use tokio::task::JoinSet;

use crate::args::Table;
use crate::caller::{Ask, Caller};
use crate::outcome::{Outcome, Verdict};
use crate::server::ECHO;
use crate::servers::{Running, Server};
use crate::site::Site;

/// How many calls.
const CALLS: usize = 10_000;
/// What the one who gets less of them gets at least, in hundredths.
const LEAST: usize = 40;

/// Nothing is direct here: a caller has one address, and two servers.
pub(super) async fn measure(table: &Table, at_once: usize) -> Result<Outcome> {
    let servers = [Running::start(table, Server::Tonic)?, Running::start(table, Server::Tonic)?];
    let mut site = Site::start(table, &["--workers", "8"])?;
    for server in &servers {
        site.agent("spread", server.address)?;
    }
    let caller = Caller::new(site.target("spread"));
    let mut loops = JoinSet::new();
    for _ in 0..at_once {
        loops.spawn(calls(caller.clone(), CALLS.div_ceil(at_once)));
    }
    let mut shares = BTreeMap::<String, usize>::new();
    for counts in loops.join_all().await {
        counts?.into_iter().for_each(|(server, count)| *shares.entry(server).or_default() += count);
    }
    let all: usize = shares.values().sum();
    let least =
        if shares.len() < servers.len() { 0 } else { shares.values().copied().min().unwrap_or(0) };
    let mut ways = Vec::from_iter(site.dead());
    if least * 100 < all * LEAST {
        ways.push("not spread".to_owned());
    }
    let share = least as f64 * 100.0 / all as f64;
    let hub = format!("{:.0} : {:.0}", share, 100.0 - share);
    Ok(Outcome { direct: "-".to_owned(), hub, verdict: Verdict::of(ways) })
}

/// How many calls each server has answered.
async fn calls(caller: Arc<Caller>, count: usize) -> Result<BTreeMap<String, usize>> {
    let mut shares = BTreeMap::<String, usize>::new();
    for _ in 0..count {
        let answer = caller.call(&Ask::grpc(ECHO, 16)).await.map_err(|error| anyhow!(error))?;
        let server = answer.head.get("x-server").context("a server that does not say who it is")?;
        *shares.entry(server.to_str()?.to_owned()).or_default() += 1;
    }
    Ok(shares)
}
