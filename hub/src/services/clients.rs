//! `hub.v1.Hub`: who is registered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hub_proto::hub::v1::hub_server::Hub;
use hub_proto::hub::v1::{Client, ListClientsRequest, ListClientsResponse};
use tonic::{Request, Response, Status};

use crate::auth::Caller;
use crate::registry::Registry;
use crate::session::Session;

/// Lists the registry.
#[derive(Debug)]
pub(super) struct Clients {
    registry: Arc<Registry>,
}

impl Clients {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

#[tonic::async_trait]
impl Hub for Clients {
    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let caller = super::caller(&request)?;
        let clients = group(self.registry.sessions(), caller).into_values();
        Ok(Response::new(ListClientsResponse {
            clients: clients.map(|agent| client(&agent)).collect(),
        }))
    }
}

type Agents = BTreeMap<(String, String), Vec<Arc<Session>>>;

/// The sessions that the caller may see, by name and instance, oldest first.
fn group(mut sessions: Vec<Arc<Session>>, caller: &Caller) -> Agents {
    sessions.retain(|session| caller.may_call(&session.name));
    sessions.sort_by_key(|session| session.since);
    let mut agents = Agents::new();
    for session in sessions {
        let agent = (session.name.to_string(), session.instance.clone());
        agents.entry(agent).or_default().push(session);
    }
    agents
}

fn client(sessions: &[Arc<Session>]) -> Client {
    let Some(oldest) = sessions.first() else {
        return Client::default();
    };
    let in_flight = sessions.iter().map(|session| session.calls() as u64);
    let rtt: Option<Duration> = sessions.iter().filter_map(|session| session.ws.rtt()).min();
    Client {
        name: oldest.name.to_string(),
        instance: oldest.instance.clone(),
        sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
        remote_address: oldest.peer.to_string(),
        labels: oldest.labels.clone().into_iter().collect(),
        agent_version: oldest.agent_version.clone(),
        connected_since: Some(oldest.since.into()),
        calls_in_flight: in_flight.sum(),
        rtt: rtt.and_then(|rtt| rtt.try_into().ok()),
        draining: sessions.iter().all(|session| session.is_draining()),
    }
}
