//! The hub: any gRPC client reaches any gRPC server behind NAT, by name.
//!
//! ```text
//!  gRPC client -> front -> client: connection <-> switch --+
//!                   |         |                            | lanes: one connection to the
//!                   |         v                            |  server for each caller
//!                   |     services, without a name         v
//!                   |                                   registry
//!                   |                                      ^
//!  agent --------> front -> agent: upgrade -> registrar ---+ register
//! ```
//!
//! A session is an agent's WebSocket; a lane is a byte stream inside it, an HTTP/2 connection to the agent's server.
//! [`run`] starts it all, on listeners that the caller has bound. A module uses those below it in this list only:
//! `front`, `peers`, `web`, `agent` and `client`, `context`, `services` and `lanes`, `registry`, `directory`, `guard` and
//! `observe`, `message`, `config`.

mod agent;
mod client;
mod config;
mod context;
mod directory;
mod front;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod lanes;
pub mod limits;
mod message;
mod observe;
mod peers;
mod registry;
mod services;
mod stop;
mod web;

use std::io;
use std::sync::Arc;

use switch::CLIENT_BYTES;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use tunnel::limits::{CLOSE_TIMEOUT, LANE_FIRST_CREDIT};
pub use tunnel::listen_addr::{BindError, ListenAddr, ListenAddrError, OptionalListen};
use tunnel::service_manager;

pub use self::config::access_log::{AccessLogConfig, LogPlace};
pub use self::config::args::Args;
pub use self::config::auth::{Auth, AuthFileError, Caller, Denied, Holder, Ownership, Tokens};
use self::config::cautions::cautions;
pub use self::config::cors::{CorsOrigin, CorsOriginError, CorsOrigins};
pub use self::config::directory::{Directory, DirectoryUri, DirectoryUriError, PasswordError};
pub use self::config::keys::{KeyFiles, Keys};
pub use self::config::networks::{Network, NetworkError, Networks};
pub use self::config::otlp::{OtlpConfig, OtlpConfigError, OtlpEndpoint, OtlpEndpointError};
pub use self::config::otlp_headers::{OtlpHeaders, OtlpHeadersError};
pub use self::config::peer_addr::{PeerAddr, PeerAddrError};
pub use self::config::peering::{PeerTls, Peering};
pub use self::config::routing::{Domain, DomainError, Routing};
pub use self::config::{Config, ConfigError};
use self::context::hub::Hub;
use self::directory::Nodes;
use self::front::listener::Listener;
use self::front::worker::Workers;
use crate::limits::{DIRECTORY_TIMEOUT, METRICS_UPKEEP};

/// Where a hub is to be reached.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC clients and agents.
    pub public: TcpListener,
    /// For a page, `/metrics`, `/healthz`, `/readyz`.
    pub admin: Option<TcpListener>,
    /// For other hubs.
    pub peers: Option<TcpListener>,
    /// Other hubs may listen at the public port, with a listener of their own (`SO_REUSEPORT`). Not where several share one
    /// listener, which a service manager has passed on.
    pub shares_port: bool,
}

/// Runs a hub until `shutdown` resolves, then drains it: running calls may end within
/// [`Config::drain_timeout`]. Each time that `reload` does, [`Config::key_files`] and [`Config::log`] are read anew.
///
/// # Errors
/// The system has no thread or no file descriptor left for the workers.
pub async fn run(
    listeners: Listeners,
    config: Config,
    reload: impl AsyncFnMut(),
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let hub = Hub::new(config)?;
    let workers = Workers::start(&hub).map_err(|error| {
        let count = hub.config.workers;
        io::Error::new(error.kind(), format!("cannot start {count} workers (--workers): {error}"))
    })?;
    announce(&listeners, &hub)?;
    let upkeep = tokio::spawn(upkeep(hub.clone()));
    let admin = listeners.admin.map(|admin| tokio::spawn(front::admin::serve(admin, hub.clone())));
    let listener = Listener { tcp: listeners.public, shares_port: listeners.shares_port };
    let runtimes = workers.runtimes();
    let door = listeners.peers.map(|peers| {
        let accepting = peers::door::accept(peers, hub.clone(), runtimes.clone());
        AbortOnDropHandle::new(tokio::spawn(accepting))
    });
    let (others, directory) = others(&hub, &runtimes);
    let watchdog = tokio::spawn(workers.watchdog());
    hub.note_certificate();
    service_manager::ready();
    tokio::select! {
        () = listener.accept(&workers, &hub) => {}
        () = reload_each(reload, &hub) => {}
        () = shutdown => {}
    }
    service_manager::stopping();
    front::drain::drain(&hub, listener, workers).await;
    close_books(&hub).await;
    drop((door, others));
    if let Some(directory) = directory {
        // It has been told long ago; where it does not answer, the lease ends by itself.
        let _ = timeout(DIRECTORY_TIMEOUT, directory).await;
    }
    watchdog.abort();
    upkeep.abort();
    if let Some(admin) = admin {
        admin.abort();
    }
    Ok(())
}

/// What is on its way to the disk or to a collector goes there, unless that stands still.
async fn close_books(hub: &Arc<Hub>) {
    let hub = hub.clone();
    let closed = tokio::task::spawn_blocking(move || hub.books.close());
    let _ = timeout(2 * CLOSE_TIMEOUT, closed).await;
}

/// Keeps this hub connected with all others, and in the directory: the first until it is dropped, the second until the hub
/// drains.
fn others(
    hub: &Arc<Hub>,
    runtimes: &[Handle],
) -> (AbortOnDropHandle<()>, Option<AbortOnDropHandle<()>>) {
    let peering = &hub.config.peering;
    let listed: Nodes = peering.peers.iter().cloned().collect();
    let (nodes, told) = watch::channel(Nodes::new());
    tokio::spawn(peers::begin(hub.clone(), listed.clone(), told.clone()));
    let connected = tokio::spawn(peers::connect(hub.clone(), runtimes.into(), listed, told));
    let member = directory::Member {
        node: hub.node_id.clone(),
        stop: hub.stop.clone(),
        heard: hub.directory.clone(),
        claims: hub.claims.clone(),
        nodes,
    };
    let directory = peering.directory.clone();
    let directory = directory.map(|directory| tokio::spawn(directory::run(directory, member)));
    (AbortOnDropHandle::new(connected), directory.map(AbortOnDropHandle::new))
}

/// For ever.
async fn reload_each(mut reload: impl AsyncFnMut(), hub: &Hub) {
    loop {
        reload().await;
        service_manager::reloading();
        // Who is to know of a failure reads the log.
        let _ = hub.reload();
        service_manager::ready();
    }
}

fn announce(listeners: &Listeners, hub: &Hub) -> io::Result<()> {
    info!(
        address = %listeners.public.local_addr()?,
        tls = hub.config.keys.tls.is_some(),
        workers = hub.config.workers,
        node = hub.node_id,
        max_connections = hub.config.max_connections,
        client_kib = CLIENT_BYTES >> 10,
        lane_kib = LANE_FIRST_CREDIT >> 10,
        lane_memory_mib = hub.config.lane_memory >> 20,
        held_mib = hub.config.max_held >> 20,
        "listening",
    );
    if let Some(peers) = &listeners.peers {
        let (tls, others) = (hub.config.peering.tls.is_some(), hub.config.peering.peers.len());
        info!(address = %peers.local_addr()?, tls, others, "listening for other hubs");
        if !tls {
            warn!(
                "--peer-listen without --peer-tls-ca-file and its like: the token of all hubs, and all calls between them, cross \
                 the network in clear text"
            );
        }
    }
    if let Some(admin) = &listeners.admin {
        info!(address = %admin.local_addr()?, "admin listening");
    }
    for caution in cautions(&hub.config) {
        warn!("{caution}");
    }
    Ok(())
}

async fn upkeep(hub: Arc<Hub>) {
    let mut due = tokio::time::interval(METRICS_UPKEEP);
    loop {
        due.tick().await;
        hub.metrics.upkeep();
    }
}
