//! Agents and sessions in memory, for the tests of what is between them.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role as WsRole;
use tonic::service::Routes;
use tunnel::lanes::{Lane, LaneMemory, Lanes, Open, Role, start};
use tunnel::ws::{self, KeepaliveConfig};

use crate::config::{Config, Upstream};
use crate::shared::Shared;

const KEEPALIVE: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_secs(15), timeout: Duration::from_secs(30) };

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("it hangs")
}

/// An agent that takes so many lanes.
pub(crate) fn agent(upstream: Upstream, max_lanes: u32) -> Shared {
    let (name, hub) = ("testserver".parse(), "ws://hub/ws".parse());
    let config = Config::new(name.expect("a name"), hub.expect("an address"), upstream);
    Shared::new(config, max_lanes).expect("no files are read")
}

/// Services that answer nothing.
pub(crate) fn services() -> Upstream {
    Upstream::Services(Routes::default())
}

/// One end of a WebSocket in memory.
pub(crate) async fn websocket<S>(io: S, role: WsRole) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    WebSocketStream::from_raw_socket(io, role, Some(ws::config())).await
}

/// A session under way: the hub's end of it, and the agent's.
pub(crate) async fn session() -> (Lanes, Lanes) {
    let (hub, agent) = duplex(1 << 16);
    let hub = end(hub, WsRole::Server, Role::Hub).await;
    (hub, end(agent, WsRole::Client, Role::Agent { max_lanes: 64 }).await)
}

async fn end(io: DuplexStream, ws_role: WsRole, role: Role) -> Lanes {
    let (driver, lanes, _) =
        start(websocket(io, ws_role).await, KEEPALIVE, role, LaneMemory::new(1 << 30));
    tokio::spawn(driver);
    lanes
}

/// A new lane: the hub's end of it, and the agent's.
pub(crate) async fn lane((hub, agent): &(Lanes, Lanes)) -> (Lane, Lane) {
    let opened = hub.open(Open::default()).expect("an open session");
    (opened, agent.accept().await.expect("a lane").0)
}
