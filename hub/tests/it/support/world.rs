//! The whole path: a raw client, a hub, an agent, a raw upstream.

use h2::server::Builder;

use super::agent::{Agent, config, server};
use super::client::{Client, answer};
use super::hub::{Hub, hub_config};
use super::message::grpc;
use super::upstream::{Connection, Upstream};
use super::{NAME, within};

/// A hub and one agent with one session, registered.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) agent: Agent,
    /// All connections of the upstream, each of which is a lane of the session.
    pub(crate) session: Connection,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(hub_config(), Builder::new()).await
    }

    /// For calls of many small messages: the test may read them late, which `h2` would take for a flood.
    pub(crate) async fn start_patient() -> Self {
        let mut builder = Builder::new();
        builder.data_frame_budget(usize::MAX);
        Self::start_with(hub_config(), builder).await
    }

    /// `builder` is the upstream's.
    pub(crate) async fn start_with(hub: hub::Config, builder: Builder) -> Self {
        let hub = Hub::start_with(hub).await;
        let upstream = Upstream::listen_with(builder, None).await;
        let agent = Agent::start(config(&hub, server(upstream.address)));
        hub.until_serving(NAME).await;
        let client = hub.client().await;
        Self { hub, agent, session: upstream.all(), client }
    }

    /// A client is still served, over the first session, whatever else waits at the upstream.
    pub(crate) async fn assert_unharmed(&mut self) {
        let (response, _sending) = self.client.open(grpc(NAME, "/a.B/Unharmed"), true).await;
        let unharmed = async {
            loop {
                let call = self.session.call().await;
                if call.request.uri().path() == "/a.B/Unharmed" {
                    return call;
                }
            }
        };
        within("another client's call", unharmed).await.answer();
        assert_eq!(answer(response).await.expect("an answer").grpc_status(), Some("0"));
    }
}
