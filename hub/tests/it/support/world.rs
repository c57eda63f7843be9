//! The whole path: a raw client, a hub, an agent, a raw upstream.

use h2::server::Builder;

use super::NAME;
use super::agent::{Agent, config, server};
use super::client::Client;
use super::hub::{Hub, hub_config};
use super::upstream::{Connection, Upstream};

/// A hub and one agent with one session, registered.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) agent: Agent,
    pub(crate) upstream: Upstream,
    /// The upstream's end of the session.
    pub(crate) session: Connection,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(hub_config(), Builder::new()).await
    }

    /// `builder` is the upstream's.
    pub(crate) async fn start_with(hub: hub::Config, builder: Builder) -> Self {
        let hub = Hub::start_with(hub).await;
        let mut upstream = Upstream::listen_with(builder, None).await;
        let agent = Agent::start(config(&hub, server(upstream.address)));
        let session = upstream.connection().await;
        hub.until_serving(NAME).await;
        let client = hub.client().await;
        Self { hub, agent, upstream, session, client }
    }
}
