//! One session: a WebSocket to the hub, whose lanes are served until it ends.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use tunnel::lanes::{self, Lanes, Role};
use tunnel::limits::CLOSING_TIMEOUT;
use tunnel::wire::{CloseCode, Control};
use tunnel::ws::{Ended, Handle};

use crate::backoff::whole_millis;
use crate::config::Upstream;
use crate::dial::Dialled;
use crate::lane;
use crate::shared::Shared;

/// What a session leaves behind.
pub(crate) struct Over {
    pub(crate) ended: Option<Ended>,
    pub(crate) lived: Duration,
}

/// Serves a session to its end. `replace` is told when the hub opens no new lanes on it, so that its successor is
/// dialled.
pub(crate) async fn serve(
    dialled: Dialled,
    slot: u16,
    agent: Arc<Shared>,
    replace: mpsc::Sender<()>,
) -> Over {
    let started = Instant::now();
    // Those included that wait for the place of one that has ended.
    let role = Role::Agent { max_lanes: (agent.max_lanes as usize).saturating_mul(2) };
    let (keepalive, memory) = (agent.config.keepalive, agent.lane_memory.clone());
    let Dialled { io, read, session, .. } = dialled;
    let (driver, lanes, control) = lanes::start(io, read, keepalive, role, memory);
    let about = About { slot, session, agent };
    tokio::select! {
        biased;
        () = driver => {}
        () = serve_lanes(&lanes, &about.agent) => {}
        () = listen(&about, control, lanes.ws(), replace) => {}
        () = cut_off(&about.agent) => {}
    }
    let over = Over { ended: lanes.ws().ended().cloned(), lived: started.elapsed() };
    about.log_end(&over);
    over
}

/// Serves the lanes, each in a task of its own. They end with the session.
async fn serve_lanes(lanes: &Lanes, agent: &Arc<Shared>) {
    let mut serving = JoinSet::new();
    loop {
        tokio::select! {
            Some((lane, _)) = lanes.accept() => drop(serving.spawn(lane::serve(lane, agent.clone()))),
            Some(_) = serving.join_next() => {}
            else => std::future::pending().await,
        }
    }
}

/// Listens to what the hub says besides data, and tells it what becomes of the agent and its upstream. Ends with the
/// session only.
async fn listen(
    about: &About,
    mut control: mpsc::Receiver<Control>,
    ws: &Handle,
    replace: mpsc::Sender<()>,
) {
    let agent = &about.agent;
    let mut upstream = agent.monitor.watch();
    let (mut told, mut cut) = (false, false);
    let registered = OnceLock::new();
    if !*upstream.borrow_and_update() {
        ws.send(Control::Upstream { up: false });
    }
    loop {
        tokio::select! {
            Some(said) = control.recv() => about.hear(said, &registered, &replace),
            up = changed(&mut upstream) => ws.send(Control::Upstream { up }),
            () = agent.stop.cancelled(), if !told => {
                ws.send(Control::Drain);
                told = true;
            }
            () = agent.cut.cancelled(), if !cut => {
                ws.close(CloseCode::GoingAway, "the agent is stopping");
                cut = true;
            }
        }
    }
}

/// Resolves when the upstream goes away, or is back.
async fn changed(upstream: &mut watch::Receiver<bool>) -> bool {
    if upstream.changed().await.is_err() {
        // The monitor lives as long as the agent.
        std::future::pending::<()>().await;
    }
    *upstream.borrow_and_update()
}

/// Resolves when not even the end of a close is awaited any longer.
async fn cut_off(agent: &Shared) {
    agent.cut.cancelled().await;
    sleep(CLOSING_TIMEOUT).await;
}

/// Which session, for the log.
struct About {
    slot: u16,
    session: String,
    agent: Arc<Shared>,
}

impl About {
    fn hear(&self, said: Control, registered: &OnceLock<()>, replace: &mpsc::Sender<()>) {
        match said {
            Control::Registered => {
                if registered.set(()).is_ok() {
                    self.log("registered");
                }
            }
            Control::Drain => {
                self.log("draining: the hub opens no new lanes on this session");
                // A second request changes nothing.
                let _ = replace.try_send(());
            }
            Control::Moved | Control::Upstream { .. } | Control::Unknown => {}
        }
    }

    fn log(&self, message: &'static str) {
        let config = &self.agent.config;
        info!(name = %config.name, hub = %config.hub, slot = self.slot, session = self.session, "{message}");
    }

    /// What ended a session, and what to do where the hub cannot know that.
    fn explain(&self, ended: &Ended) -> String {
        match (ended, &self.agent.config.upstream) {
            (Ended::ByPeer { code: CloseCode::NotHttp2, .. }, Upstream::Server(addr)) => {
                let hint = |https| format!("; if it speaks TLS, say --upstream {https}");
                format!("{ended}{}", addr.as_https().map(hint).unwrap_or_default())
            }
            _ => ended.to_string(),
        }
    }

    fn log_end(&self, over: &Over) {
        let config = &self.agent.config;
        let ended =
            over.ended.as_ref().map_or_else(|| "cut off".to_owned(), |ended| self.explain(ended));
        macro_rules! line {
            ($macro:ident, $message:literal) => {
                $macro!(
                    name = %config.name,
                    hub = %config.hub,
                    slot = self.slot,
                    session = self.session,
                    ended,
                    lived = ?whole_millis(over.lived),
                    $message
                )
            };
        }
        match &over.ended {
            Some(Ended::ByPeer { code: CloseCode::NotHttp2 | CloseCode::Policy, .. }) => {
                line!(error, "disconnected; this needs a change of configuration");
            }
            _ if self.agent.stop.is_cancelled() => line!(info, "disconnected"),
            Some(Ended::ByPeer { code: CloseCode::Normal | CloseCode::GoingAway, .. }) => {
                line!(info, "disconnected");
            }
            _ => line!(warn, "disconnected"),
        }
    }
}

#[cfg(test)]
mod tests;
