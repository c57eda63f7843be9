//! A server that starts long after its agent.

use std::time::Duration;

use anyhow::{Result, bail};
use bench::foreign::free_port;
use tokio::time::{Instant, sleep};

use crate::args::Table;
use crate::caller::{Ask, Caller, Target};
use crate::outcome::{Outcome, Verdict};
use crate::server::ECHO;
use crate::servers::{Running, Server};
use crate::site::Site;

/// How much later it starts.
const LATER: Duration = Duration::from_secs(40);
const QUICK_LATER: Duration = Duration::from_secs(5);
/// How long the hub may take to notice.
const NOTICED: Duration = Duration::from_secs(2);
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(50);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Direct and through the hub at the same time.
pub(super) async fn measure(table: &Table, asked: bool) -> Result<Outcome> {
    let address = free_port()?;
    let mut site = Site::start(table, &[])?;
    site.agent_before_server("late", address)?;
    let direct = Target { address, name: None };
    let hub = site.target("late");
    let before = if table.quick { QUICK_LATER } else { LATER };
    if asked {
        tokio::select! {
            _ = first_answer(direct.clone()) => bail!("somebody else listens at {address}"),
            _ = first_answer(hub.clone()) => bail!("the hub answers for a server that is not there"),
            () = sleep(before) => {}
        }
    } else {
        sleep(before).await;
    }
    let _server = Running::at(table, Server::Tonic, address)?;
    let listening = Instant::now();
    let answers = async { tokio::join!(first_answer(direct), first_answer(hub)) };
    let Ok((direct, hub)) = tokio::time::timeout(PATIENCE, answers).await else {
        bail!("no answer in {} s", PATIENCE.as_secs());
    };
    let mut ways = Vec::from_iter(site.dead());
    if hub - listening > NOTICED {
        ways.push(format!("later than {} s", NOTICED.as_secs()));
    }
    let told =
        |when: Instant| format!("first answer after {:.2} s", (when - listening).as_secs_f64());
    Ok(Outcome { direct: told(direct), hub: told(hub), verdict: Verdict::of(ways) })
}

/// When a call was answered.
async fn first_answer(target: Target) -> Instant {
    let caller = Caller::new(target);
    while caller.call(&Ask::grpc(ECHO, 1)).await.is_err() {
        sleep(AGAIN).await;
    }
    Instant::now()
}
