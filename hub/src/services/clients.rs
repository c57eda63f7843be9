//! `hub.v1.Hub`: who is registered.

use std::sync::Arc;
use std::time::Duration;

use hub_proto::hub::v1::hub_server::Hub;
use hub_proto::hub::v1::{Client, ListClientsRequest, ListClientsResponse};
use prost::Message as _;
use prost::encoding::{encoded_len_varint, key_len};
use tonic::{Request, Response, Status};

use super::page_token::PageTokens;
use crate::limits::{LIST_PAGE, LIST_PAGE_BYTES};
use crate::registry::{Listed, Page, Place, Registry, Upstream};

/// Room that a page keeps for its token and what frames it.
const FRAME_BYTES: usize = 1024;

/// Lists the registry.
#[derive(Debug)]
pub(super) struct Clients {
    registry: Arc<Registry>,
    tokens: PageTokens,
}

impl Clients {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, tokens: PageTokens::new() }
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
        let (clients, reached) = fill(found, most);
        let token = reached.map(|place| self.tokens.seal(&place)).transpose()?;
        let next_page_token = token.unwrap_or_default();
        Ok(Response::new(ListClientsResponse { clients, next_page_token }))
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
fn fill(found: Page, most: usize) -> (Vec<Client>, Option<Place>) {
    let mut clients = Vec::new();
    let mut bytes = FRAME_BYTES;
    let mut shown = None;
    for listed in &found.agents {
        let Some((session, client)) = listed.sessions.first().zip(client(listed)) else {
            continue;
        };
        bytes += field_len(&client);
        if clients.len() == most || bytes > LIST_PAGE_BYTES && shown.is_some() {
            return (clients, shown);
        }
        shown = Some(Place::of(session));
        clients.push(client);
    }
    (clients, found.reached)
}

/// Bytes of it as one of the list.
fn field_len(client: &Client) -> usize {
    let len = client.encoded_len();
    key_len(1) + encoded_len_varint(len as u64) + len
}

/// What is told of an agent.
fn client(Listed { sessions, stands_by }: &Listed) -> Option<Client> {
    let oldest = sessions.iter().min_by_key(|session| session.link.since)?;
    let agent = &oldest.agent;
    let rtt: Option<Duration> = sessions.iter().filter_map(|session| session.link.ws().rtt()).min();
    let suspect = sessions.iter().filter(|session| session.link.is_suspect()).count();
    Some(Client {
        name: agent.name.to_string(),
        instance: agent.instance.clone(),
        sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
        remote_address: oldest.link.peer.to_string(),
        labels: agent.labels.clone().into_iter().collect(),
        agent_version: agent.version.clone(),
        connected_since: Some(oldest.link.since.into()),
        calls_in_flight: agent.calls() as u64,
        rtt: rtt.and_then(|rtt| rtt.try_into().ok()),
        draining: sessions.iter().all(|session| session.link.is_draining()),
        lanes: u32::try_from(agent.lanes.len()).unwrap_or(u32::MAX),
        upstream_unreachable: agent.upstream() == Upstream::Down,
        suspect_sessions: u32::try_from(suspect).unwrap_or(u32::MAX),
        standby: *stands_by,
    })
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
