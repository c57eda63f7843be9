//! Agents and sessions in memory, for the tests of what is between them.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;
use tonic::service::Routes;
use tunnel::lanes::{Lane, LaneMemory, Lanes, Open, Role, start};
use tunnel::setting::Setting;
use tunnel::ws::KeepaliveConfig;

use crate::config::Config;
use crate::exposed::{Exposed, Upstream};
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
    let max_lanes = NonZeroU32::new(max_lanes).expect("some");
    let exposed = Exposed::new(name.expect("a name"), upstream);
    let config = Config::new(exposed, hub.expect("an address"));
    Shared::new(Config { max_lanes: Setting::Value(max_lanes), ..config })
        .expect("no files are read")
}

/// Services that answer nothing.
pub(crate) fn services() -> Upstream {
    Upstream::Services(Routes::default())
}

/// A session under way: the hub's end of it, and the agent's.
pub(crate) fn session() -> (Lanes, Lanes) {
    let (hub, agent) = duplex(1 << 16);
    (end(hub, Role::Hub), end(agent, Role::Agent { max_lanes: 64 }))
}

fn end(io: DuplexStream, role: Role) -> Lanes {
    let (driver, lanes, _) = start(io, Bytes::new(), KEEPALIVE, role, LaneMemory::new(1 << 30));
    tokio::spawn(driver);
    lanes
}

/// A new lane: the hub's end of it, and the agent's.
pub(crate) async fn lane((hub, agent): &(Lanes, Lanes)) -> (Lane, Lane) {
    let opened = hub.open(Open::default()).expect("an open session");
    (opened, agent.accept().await.expect("a lane").0)
}
