//! The agent: exposes a gRPC server behind NAT or a firewall at a hub, by name.
//!
//! ```text
//!  hub <--ws(s)-- slot -- session -- lane --+-- relay ---> upstream (TCP, TLS, unix socket), a connection each
//!      dial, backoff                        +-- builtin -> services in this process
//!                       reach, for each name: how to get to its upstream; monitor: is it there?
//!  probes, Prometheus -- admin -- standing (which sessions there are), monitor, metrics
//! ```
//!
//! The agent moves bytes and parses no HTTP/2, unless it is itself the server: [`Upstream::Services`]
//! exposes any tonic services without a port. [`run`] keeps the sessions up until it is asked to stop:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let upstream = agent::Upstream::Services(agent::builtin_services(None));
//! let exposed = agent::Exposed::new("testserver".parse()?, upstream);
//! let config = agent::Config::new(exposed, "ws://localhost:8080/ws".parse()?);
//! agent::run(config, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod admin;
mod age;
mod args;
mod builtin;
mod config;
mod dial;
mod exposed;
pub mod fluentd;
mod front;
mod hub_headers;
mod hub_uris;
mod hubs;
mod lane;
pub mod limits;
mod metrics;
mod monitor;
mod places;
mod reach;
mod relay;
mod reload;
mod rota;
mod seeking;
mod services;
mod session;
mod shared;
mod slot;
mod standing;
mod succession;
#[cfg(test)]
mod tests;
mod upstream;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{info, warn};

pub use self::args::{Args, Behind};
pub use self::config::Config;
pub use self::exposed::{Exposed, Upstream, UpstreamTls};
pub use self::hub_headers::{HubHeader, HubHeaderError, HubHeaders, HubHeadersError};
pub use self::hub_uris::HubUris;
pub use self::reload::ReloadError;
pub use self::services::builtin_services;
use self::shared::Shared;
pub use self::upstream::{UpstreamAddr, UpstreamAddrError};
pub use tunnel::hub_uri::{HubUri, HubUriError};

/// Keeps the agent registered until `shutdown` resolves, then takes leave: the hub sends no new calls,
/// and running ones may end within [`Config::drain_timeout`].
///
/// A hub or an upstream that cannot be reached is waited for, however long.
///
/// # Errors
/// A file cannot be used, or there are more names, or others, than a hub can be told.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ReloadError> {
    let agent = Arc::new(Shared::new(config)?);
    let clear =
        agent.config.hubs.iter().filter(|hub| !hub.tls && agent.config.token_file.is_some());
    for hub in clear {
        warn!(%hub, "the token crosses the network in clear text: use wss://");
    }
    if agent.reaches.len() > 1 {
        for Exposed { name, upstream, .. } in agent.config.exposed() {
            info!(%name, %upstream, "exposing");
        }
    }
    // Until nothing runs any more: whoever looks is told that the agent takes leave.
    let _admin = AbortOnDropHandle::new(tokio::spawn(admin::serve(agent.clone())));
    let slots = TaskTracker::new();
    tokio::select! {
        () = keep_up(&agent, &slots) => {}
        () = watch_upstreams(&agent) => {}
        () = reload_each(&agent) => {}
        () = shutdown => {}
    }
    drain(&agent, &slots).await;
    Ok(())
}

/// Starts one slot, and as many more as the hub advises once it has.
async fn keep_up(agent: &Arc<Shared>, slots: &TaskTracker) {
    let mut advised = agent.advised.subscribe();
    let mut running = 0;
    loop {
        let wanted = agent.config.sessions.unwrap_or_else(|| *advised.borrow_and_update());
        for slot in running..wanted {
            slots.spawn(slot::run(slot, agent.clone()));
        }
        running = running.max(wanted);
        if advised.changed().await.is_err() {
            return;
        }
    }
}

/// For ever.
async fn reload_each(agent: &Shared) {
    loop {
        agent.config.reload.notified().await;
        agent.reload();
    }
}

/// For ever.
async fn watch_upstreams(agent: &Arc<Shared>) {
    let watching = agent.reaches.iter().cloned().map(|reach| async move { reach.watch().await });
    watching.collect::<JoinSet<_>>().join_all().await;
}

/// Tells the hub, waits for running calls, cuts off the rest. The hub closes each session after its last
/// call, for the agent does not see calls.
async fn drain(agent: &Shared, slots: &TaskTracker) {
    info!(timeout = ?agent.config.drain_timeout, "draining");
    agent.stop.cancel();
    slots.close();
    agent.sessions.close();
    let ended = async {
        slots.wait().await;
        agent.sessions.wait().await;
    };
    if timeout(agent.config.drain_timeout, ended).await.is_err() {
        warn!(sessions = agent.sessions.len(), "drain timeout: cutting off what still runs");
    }
    agent.cut.cancel();
    // Each of them ends by itself within the closing timeout.
    agent.sessions.wait().await;
    info!("stopped");
}
