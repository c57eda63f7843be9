//! `hub.v1.Hub`: who is registered, and at which hubs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hub_proto::hub::v1::hub_server::Hub;
use hub_proto::hub::v1::{
    Client, ListClientsRequest, ListClientsResponse, ListNodesRequest, ListNodesResponse, Node,
};
use prost::Message as _;
use prost::encoding::{encoded_len_varint, key_len};
use tonic::{Request, Response, Status};

use super::page_token::PageTokens;
use crate::limits::{LIST_PAGE, LIST_PAGE_BYTES};
use crate::registry::{
    self, Agent, Listed, Page, PeerView, Registry, Session, ToldState, Upstream,
};

/// Room that a page keeps for its token and what frames it.
const FRAME_BYTES: usize = 1024;

/// Lists the registry.
#[derive(Debug)]
pub(super) struct Clients {
    registry: Arc<Registry>,
    /// The id of this hub process.
    node: String,
    started: SystemTime,
    tokens: PageTokens,
}

impl Clients {
    pub(super) fn new(registry: Arc<Registry>, node: &str) -> Self {
        let (node, started) = (node.to_owned(), SystemTime::now());
        Self { registry, node, started, tokens: PageTokens::new() }
    }

    /// This hub, and the others.
    pub(super) fn nodes(&self) -> Vec<Node> {
        let itself = Node {
            id: self.node.clone(),
            connected_since: Some(self.started.into()),
            names: number(self.registry.local_names()),
            ..Node::default()
        };
        let others = self.registry.peer_views().into_iter().map(node);
        [itself].into_iter().chain(others).collect()
    }

    /// What is told of these agents.
    pub(super) fn told(&self, agents: &[Listed]) -> Vec<Client> {
        agents.iter().filter_map(|listed| client(listed, &self.node)).collect()
    }
}

#[tonic::async_trait]
impl Hub for Clients {
    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let caller = super::caller(&request)?;
        let ListClientsRequest { page_size, page_token } = request.get_ref();
        let most = most_agents(*page_size)?;
        let after = match page_token.as_str() {
            "" => None,
            token => Some(self.tokens.open(token)?),
        };
        // One more than are shown, to know whether there is one.
        let found = self.registry.agents_after(after, most + 1, |name| caller.may_call(name));
        let (clients, reached) = fill(found, most, &self.node);
        let token = reached.map(|place| self.tokens.seal(&place)).transpose()?;
        let next_page_token = token.unwrap_or_default();
        Ok(Response::new(ListClientsResponse { clients, next_page_token }))
    }

    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        super::caller(&request)?;
        Ok(Response::new(ListNodesResponse { nodes: self.nodes() }))
    }
}

/// What is told of another hub.
fn node(view: PeerView) -> Node {
    Node {
        id: view.node.to_string(),
        remote_address: view.address.to_string(),
        connected_since: Some(view.since.into()),
        connections: number(view.connections),
        rtt: view.rtt.and_then(|rtt| rtt.try_into().ok()),
        names: number(view.names),
        suspect: view.is_suspect,
    }
}

fn most_agents(page_size: i32) -> Result<usize, Status> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(LIST_PAGE),
        Ok(size) => Ok(size.min(LIST_PAGE)),
        Err(_) => Err(Status::invalid_argument("page_size must not be negative")),
    }
}

/// What of it fits on a page, and how far that comes, unless it is all there is.
fn fill(found: Page, most: usize, node: &str) -> (Vec<Client>, Option<registry::Place>) {
    let mut clients = Vec::new();
    let mut bytes = FRAME_BYTES;
    let mut shown = None;
    for listed in &found.agents {
        let Some((session, client)) = listed.sessions.first().zip(client(listed, node)) else {
            continue;
        };
        bytes += field_len(&client);
        if clients.len() == most || bytes > LIST_PAGE_BYTES && shown.is_some() {
            return (clients, shown);
        }
        shown = Some(registry::Place::of(session));
        clients.push(client);
    }
    (clients, found.reached)
}

/// Bytes of it as one of the list.
fn field_len(client: &Client) -> usize {
    let len = client.encoded_len();
    key_len(1) + encoded_len_varint(len as u64) + len
}

/// What is told of an agent, which may be at several hubs. This one is `node`.
fn client(Listed { sessions, stands_by }: &Listed, node: &str) -> Option<Client> {
    let places: Vec<_> = sessions
        .chunk_by(|one, next| Arc::ptr_eq(&one.agent, &next.agent))
        .filter_map(|sessions| Place::of(sessions, node))
        .collect();
    let oldest = places.iter().min_by_key(|place| place.since)?;
    let agents = || places.iter().map(|place| place.agent);
    let rtt: Option<Duration> = places.iter().filter_map(|place| place.rtt).min();
    let mut hubs: Vec<_> = places.iter().map(|place| place.hub.to_owned()).collect();
    hubs.sort_by_key(|hub| hub != node);
    Some(Client {
        name: oldest.agent.name.to_string(),
        instance: oldest.agent.instance.clone(),
        sessions: places.iter().map(|place| place.sessions).sum(),
        remote_address: oldest.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        labels: oldest.agent.labels.clone().into_iter().collect(),
        agent_version: oldest.agent.version.clone(),
        connected_since: Some(oldest.since.into()),
        calls_in_flight: agents().map(|agent| agent.calls() as u64).sum(),
        rtt: rtt.and_then(|rtt| rtt.try_into().ok()),
        draining: sessions.iter().all(|session| session.is_draining()),
        lanes: agents().map(|agent| number(agent.lanes.len())).sum(),
        upstream_unreachable: agents().all(|agent| agent.upstream() == Upstream::Down),
        suspect_sessions: places.iter().map(|place| place.suspect).sum(),
        standby: *stands_by,
        hubs,
    })
}

/// An agent at one hub.
struct Place<'s> {
    agent: &'s Agent,
    hub: &'s str,
    sessions: u32,
    suspect: u32,
    /// How far it is from that hub.
    rtt: Option<Duration>,
    /// Of its oldest session.
    peer: Option<SocketAddr>,
    since: SystemTime,
}

impl<'s> Place<'s> {
    /// By its sessions with this hub, which is `node`; or what another hub has told, with which there may be several
    /// connections.
    fn of(sessions: &'s [Arc<Session>], node: &'s str) -> Option<Self> {
        let oldest = sessions.iter().min_by_key(|session| session.link.since)?;
        let agent = &*oldest.agent;
        let suspect = number(sessions.iter().filter(|session| session.is_suspect()).count());
        let Some(remote) = &agent.remote else {
            let (peer, since) = (Some(oldest.link.peer), oldest.link.since);
            let rtt = sessions.iter().filter_map(|session| session.link.ws().rtt()).min();
            let sessions = number(sessions.len());
            return Some(Self { agent, hub: node, sessions, suspect, rtt, peer, since });
        };
        let ToldState { sessions, rtt, peer, since, .. } = remote.state();
        let suspect = if suspect == 0 { 0 } else { sessions };
        Some(Self { agent, hub: &remote.node, sessions, suspect, rtt, peer, since })
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn as_many_as_asked_for_and_no_more_than_a_page() {
        for (asked, most) in
            [(0, LIST_PAGE), (1, 1), (499, 499), (501, LIST_PAGE), (i32::MAX, LIST_PAGE)]
        {
            assert_eq!(most_agents(asked).expect("a size"), most, "{asked}");
        }
        let status = most_agents(-1).expect_err("a refusal");
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
