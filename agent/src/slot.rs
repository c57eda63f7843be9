//! One of the agent's sessions: dialled, and dialled again, for as long as the agent lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info, warn};
use tunnel::wire::CloseCode;
use tunnel::ws::Ended;

use crate::backoff::{Backoff, whole_millis};
use crate::config::Config;
use crate::dial::{DialError, Dialled, Retry, dial};
use crate::limits::{BACKOFF_FATAL, BACKOFF_VERSION, REPLACED_AT_ONCE};
use crate::session::{self, Over};
use crate::shared::Shared;

/// What the slot waits for while a session runs.
enum Next {
    /// It is over.
    Ended(Over),
    /// It takes no new calls: it goes on by itself, and the slot dials its successor. It has lived so long.
    Replace(Duration),
}

/// Keeps one session up until the agent is asked to stop.
pub(crate) async fn run(slot: u16, agent: Arc<Shared>) {
    let mut backoff = Backoff::default();
    while !agent.stop.is_cancelled() {
        let dialled = tokio::select! {
            dialled = dial(&agent, slot) => dialled,
            () = agent.stop.cancelled() => return,
        };
        let pause = match dialled {
            Ok(dialled) => {
                let pause = match follow(dialled, slot, &agent).await {
                    Next::Replace(lived) => {
                        backoff.survived(lived);
                        if lived >= REPLACED_AT_ONCE {
                            Duration::ZERO
                        } else {
                            backoff.at_once(fastrand::f64())
                        }
                    }
                    Next::Ended(over) => pause_after(&over, &mut backoff),
                };
                if !agent.stop.is_cancelled() {
                    info!(hub = %agent.config.hub, slot, retry_in = ?whole_millis(pause), "dialling again");
                }
                pause
            }
            Err(error) => pause_before(&error, &agent.config, &mut backoff),
        };
        tokio::select! {
            () = agent.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs the session in a task of its own, and waits for its end or its replacement.
async fn follow(dialled: Dialled, slot: u16, agent: &Arc<Shared>) -> Next {
    agent.advised.send_replace(dialled.advised);
    let (replace, mut replaced) = mpsc::channel(1);
    let started = Instant::now();
    let task = agent.sessions.spawn(session::serve(dialled, slot, agent.clone(), replace));
    tokio::select! {
        over = task => Next::Ended(over.unwrap_or(Over { ended: None, lived: Duration::ZERO })),
        Some(()) = replaced.recv() => Next::Replace(started.elapsed()),
    }
}

fn pause_after(over: &Over, backoff: &mut Backoff) -> Duration {
    backoff.survived(over.lived);
    match &over.ended {
        Some(Ended::ByPeer { code: CloseCode::GoingAway, .. }) => backoff.at_once(fastrand::f64()),
        Some(Ended::ByPeer { code: CloseCode::Policy, .. }) => jittered(BACKOFF_FATAL),
        _ => backoff.next(fastrand::f64()),
    }
}

fn pause_before(source: &DialError, config: &Config, backoff: &mut Backoff) -> Duration {
    let error = format!("hub {}: {source}", config.hub);
    let retry = source.retry();
    let pause = match retry {
        Retry::Soon => backoff.next(fastrand::f64()),
        Retry::After(pause) => pause + backoff.next(fastrand::f64()),
        Retry::Version => jittered(BACKOFF_VERSION),
        Retry::Slowly => jittered(BACKOFF_FATAL),
    };
    let retry_in = whole_millis(pause);
    match retry {
        Retry::Slowly | Retry::Version => {
            error!(error, ?retry_in, "not registered; this needs a change of configuration")
        }
        _ => warn!(error, ?retry_in, "not registered"),
    }
    pause
}

/// Between a half and the whole, so that not even slow retries come all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
