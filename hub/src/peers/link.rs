//! A connection with another hub, on which lanes are opened to its agents, and which tells of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::Scheme;
use hub_proto::hub::peer::v1 as pb;
use tokio::time::{sleep, timeout};
use tonic::Streaming;
use tracing::{debug, info, warn};
use tunnel::box_io::BoxIo;
use tunnel::hub_uri::HubUri;
use tunnel::lanes::Role;
use tunnel::name::Name;
use tunnel::registration::Exposed;
use tunnel::speaks::Speaks;
use tunnel::wire::CloseCode;

use super::ask::{HearError, client};
use super::listen::listen;
use crate::config::auth::{Holder, Ownership};
use crate::context::hub::{Hub, random_id};
use crate::limits::{PEER_AGAIN, PEER_ANSWER, PEER_KEEPALIVE, PEER_NAMES_MAX};
use crate::registry::{About, Connected, Link, Told, ToldName, ToldState};

/// Another hub that has come in.
#[derive(Debug)]
pub(super) struct Guest {
    /// The id of that process.
    pub(super) node: String,
    /// Which of its connections it is.
    pub(super) slot: u16,
    /// Where agents reach it.
    pub(super) public_uri: Option<HubUri>,
}

/// Serves the connection to its end.
pub(super) async fn serve(
    io: BoxIo,
    read: Bytes,
    guest: Guest,
    (address, worker): (SocketAddr, usize),
    hub: Arc<Hub>,
) {
    let memory = hub.lane_memory.clone();
    let (driver, lanes, mut control) =
        tunnel::lanes::start(io, read, PEER_KEEPALIVE, Role::Hub, memory);
    let driver = tokio::spawn(driver);
    let link = Link::new(random_id(), guest.slot, (address, worker), None, 0, lanes);
    let connected = hub.registry.connect(&guest.node, guest.public_uri, link);
    let link = connected.link.clone();
    info!(node = guest.node, peer = %address, slot = guest.slot, "another hub connected");
    let mut driver = std::pin::pin!(driver);
    let mut follows = std::pin::pin!(follow(&connected, &hub));
    let mut listens = std::pin::pin!(listen(&connected, &hub));
    let mut is_closing = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut driver => break,
            () = link.ws().suspicion() => hub.registry.peer_suspicion(&connected),
            // Nothing that is said so is known yet.
            Some(_) = control.recv() => {}
            () = hub.stop.closing(), if !is_closing => {
                link.ws().close(CloseCode::GoingAway, "the hub is going away");
                is_closing = true;
            }
            () = &mut follows => {}
            () = &mut listens => {}
        }
    }
    let ended = link.ws().ended().map(ToString::to_string);
    info!(node = guest.node, peer = %address, slot = guest.slot, ended, "another hub disconnected");
}

/// Has the registry told of the other hub's agents, for ever. Of several connections with it, by one at a time.
async fn follow(connected: &Connected, hub: &Hub) {
    let _one = connected.peer.following.lock().await;
    let mut is_first = true;
    loop {
        if let Err(error) = hear(connected, hub).await {
            let node = &*connected.peer.node;
            let is_over = connected.link.ws().ended().is_some() || hub.stop.is_closing();
            if is_first && !is_over {
                warn!(node, %error, "another hub does not tell what it has; it is asked again and again");
            } else {
                debug!(node, %error, "another hub tells nothing now");
            }
            is_first = false;
        }
        sleep(PEER_AGAIN).await;
    }
}

async fn hear(Connected { peer, link, .. }: &Connected, hub: &Hub) -> Result<(), HearError> {
    let asked = timeout(PEER_ANSWER, ask(link)).await;
    let mut stream = asked.map_err(|_| HearError::Silent)??;
    let mut all = Some(BTreeSet::new());
    loop {
        // Later, there may be nothing to tell for long.
        let patience = if all.is_some() { PEER_ANSWER } else { Duration::MAX };
        let message = timeout(patience, stream.message()).await;
        let Some(response) = message.map_err(|_| HearError::Silent)?? else { return Ok(()) };
        let pb::NamesResponse { names, complete } = response;
        let told = understood(names);
        if let Some(all) = &mut all {
            all.extend(told.iter().map(|told| told.name.clone()));
        }
        if hub.registry.told(peer, told) > PEER_NAMES_MAX {
            return Err(HearError::TooMany);
        }
        if complete && let Some(all) = all.take() {
            hub.registry.told_all(peer, &all);
        }
    }
}

/// Asks for all that there is.
async fn ask(link: &Link) -> Result<Streaming<pb::NamesResponse>, HearError> {
    Ok(client(link).await?.names(pb::NamesRequest {}).await?.into_inner())
}

/// What is told, as far as it can be understood: a newer hub may say more.
pub(crate) fn understood(names: Vec<pb::Name>) -> Vec<ToldName> {
    names.into_iter().filter_map(of_name).collect()
}

fn of_name(pb::Name { name, agents, ousted }: pb::Name) -> Option<ToldName> {
    let name: Name = name.parse().ok()?;
    let agents = agents.into_iter().filter_map(|agent| of_agent(&name, agent)).collect();
    Some(ToldName { name, agents, ousted })
}

fn of_agent(name: &Name, agent: pb::Agent) -> Option<Told> {
    let ownership = match agent.ownership() {
        pb::Ownership::Unspecified => Ownership::Share,
        pb::Ownership::Exclusive => Ownership::Exclusive,
        pb::Ownership::Takeover => Ownership::Takeover,
        pb::Ownership::Standby => Ownership::Standby,
    };
    let authority = Some(agent.authority).filter(|authority| !authority.is_empty());
    let exposed = Exposed {
        name: name.clone(),
        scheme: if agent.scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP },
        authority: authority.map(|authority| authority.parse()).transpose().ok()?,
        speaks: Speaks::from_header(&agent.speaks),
    };
    let about = About {
        instance: agent.instance,
        labels: agent.labels.into_iter().collect(),
        version: agent.agent_version,
        holder: agent.holder.map(|id| Holder::elsewhere(id, ownership)),
        came: agent.came,
    };
    let since = agent.connected_since.and_then(|since| SystemTime::try_from(since).ok());
    let state = ToldState {
        is_draining: agent.draining,
        is_suspect: agent.suspect,
        is_down: agent.upstream_unreachable,
        drains: agent.drains,
        sessions: agent.sessions,
        rtt: agent.rtt.and_then(|rtt| rtt.try_into().ok()),
        peer: agent.remote_address.parse().ok(),
        since: since.unwrap_or_else(SystemTime::now),
    };
    let max_lanes = usize::try_from(agent.max_lanes).unwrap_or(usize::MAX);
    Some(Told { exposed, about, number: agent.number, max_lanes, state })
}
