//! A connection with another hub, on which lanes are opened to its agents, and which tells of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::uri::Scheme;
use hub_proto::hub::peer::v1 as pb;
use hub_proto::hub::peer::v1::peers_client::PeersClient;
use tokio::time::sleep;
use tonic::transport::Endpoint;
use tracing::{debug, info};
use tunnel::box_io::BoxIo;
use tunnel::lanes::{Open, Role};
use tunnel::name::Name;
use tunnel::once::Once;
use tunnel::registration::Exposed;
use tunnel::speaks::Speaks;
use tunnel::wire::CloseCode;

use crate::config::auth::{Holder, Ownership};
use crate::context::hub::{Hub, random_id};
use crate::limits::{PEER_AGAIN, PEER_KEEPALIVE, PEER_MESSAGE_BYTES, PEER_NAMES_MAX};
use crate::registry::{About, Connected, Link, Told, ToldState};

/// Another hub that has come in.
#[derive(Debug)]
pub(super) struct Guest {
    /// The id of that process.
    pub(super) node: String,
    /// Which of its connections it is.
    pub(super) slot: u16,
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
    let connected = hub.registry.connect(&guest.node, link);
    let link = connected.link.clone();
    info!(node = guest.node, peer = %address, slot = guest.slot, "another hub connected");
    let mut driver = std::pin::pin!(driver);
    let mut follows = std::pin::pin!(follow(&connected, &hub));
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
        }
    }
    let ended = link.ws().ended().map(ToString::to_string);
    info!(node = guest.node, peer = %address, slot = guest.slot, ended, "another hub disconnected");
}

/// Has the registry told of the other hub's agents, for ever. Of several connections with it, by one at a time.
async fn follow(connected: &Connected, hub: &Hub) {
    let _one = connected.peer.following.lock().await;
    loop {
        if let Err(error) = hear(connected, hub).await {
            debug!(node = &*connected.peer.node, %error, "another hub tells nothing now");
        }
        sleep(PEER_AGAIN).await;
    }
}

/// Why nothing more is told.
#[derive(Debug, thiserror::Error)]
enum HearError {
    #[error("the connection is over")]
    Over,
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(#[from] tonic::Status),
    #[error("more than {PEER_NAMES_MAX} names")]
    TooMany,
}

async fn hear(Connected { peer, link, .. }: &Connected, hub: &Hub) -> Result<(), HearError> {
    let lane = link.tunnel.open(Open::default()).ok_or(HearError::Over)?;
    let channel = Endpoint::from_static("http://hub");
    let channel = channel.connect_with_connector(Once::new(lane)).await?;
    let mut client = PeersClient::new(channel).max_decoding_message_size(PEER_MESSAGE_BYTES);
    let mut stream = client.names(pb::NamesRequest {}).await?.into_inner();
    let mut all = Some(BTreeSet::new());
    while let Some(pb::NamesResponse { names, complete }) = stream.message().await? {
        let told: Vec<_> = names.into_iter().filter_map(of_name).collect();
        if let Some(all) = &mut all {
            all.extend(told.iter().map(|(name, _)| name.clone()));
            if all.len() > PEER_NAMES_MAX {
                return Err(HearError::TooMany);
            }
        }
        hub.registry.told(peer, told);
        if complete && let Some(all) = all.take() {
            hub.registry.told_all(peer, &all);
        }
    }
    Ok(())
}

/// What is told of a name, as far as it can be understood: a newer hub may say more.
fn of_name(pb::Name { name, agents }: pb::Name) -> Option<(Name, Vec<Told>)> {
    let name: Name = name.parse().ok()?;
    let told = agents.into_iter().filter_map(|agent| of_agent(&name, agent)).collect();
    Some((name, told))
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
        sessions: agent.sessions,
        peer: agent.remote_address.parse().ok(),
        since: since.unwrap_or_else(SystemTime::now),
    };
    Some(Told { exposed, about, number: agent.number, state })
}
