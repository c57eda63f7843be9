//! `hub.peer.v1.Peers`: what other hubs are told.

use std::sync::Arc;
use std::time::Duration;

use hub_proto::hub::peer::v1 as pb;
use hub_proto::hub::peer::v1::peers_server::{Peers as PeersService, PeersServer};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tunnel::limits::LANES_MAX;
use tunnel::name::Name;

use super::events::{Audience, EventStream, Events};
use super::filter::Filter;
use crate::config::auth::{Caller, Holder, Ownership};
use crate::limits::{
    PEER_AGENTS, PEER_MESSAGE_ENOUGH, PEER_MESSAGES, PEER_NEWS, PEER_NEWS_BYTES, PEER_NEWS_MOST,
};
use crate::observe::activity::Activity;
use crate::registry::{Follower, LocalAgent, Registry, Upstream};
use crate::stop::Stop;

/// The services that only other hubs reach.
pub(crate) fn routes(
    node: &str,
    registry: &Arc<Registry>,
    activity: &Arc<Activity>,
    stop: &Stop,
) -> Routes {
    let events = Events::new(activity.clone(), node, Audience::Hubs, stop.clone());
    let peers = Peers { registry: registry.clone(), events, stop: stop.clone() };
    Routes::new(PeersServer::new(peers)).prepare()
}

type Told = Result<pb::NamesResponse, Status>;

/// Tells of the registry.
#[derive(Debug)]
struct Peers {
    registry: Arc<Registry>,
    events: Events,
    stop: Stop,
}

#[tonic::async_trait]
impl PeersService for Peers {
    type NamesStream = ReceiverStream<Told>;
    type ActivityStream = EventStream;

    async fn activity(
        &self,
        _: Request<pb::ActivityRequest>,
    ) -> Result<Response<Self::ActivityStream>, Status> {
        // Who may see what the other hub knows, which has asked for all who watch there.
        Ok(Response::new(self.events.watch(Filter::all(Caller::anybody()), None, true)))
    }

    async fn names(
        &self,
        _: Request<pb::NamesRequest>,
    ) -> Result<Response<Self::NamesStream>, Status> {
        let (sender, receiver) = mpsc::channel(PEER_MESSAGES);
        let (registry, stop) = (self.registry.clone(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = tell(&registry, &stop, &sender) => {}
                () = stop.closing() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Tells all that there is, and then what changes, for as long as somebody listens.
async fn tell(registry: &Registry, stop: &Stop, sender: &mpsc::Sender<Told>) {
    let follower = registry.follow();
    let mut is_complete = false;
    loop {
        follower.nudged().await;
        let told = |name: &Name| told(registry, stop, name);
        let Some(bytes) = tell_changes(&follower, told, sender, &mut is_complete).await else {
            return;
        };
        // What changes meanwhile is told together: of a name with a thousand agents, all of them each time.
        let pause = Duration::from_secs(bytes as u64) / PEER_NEWS_BYTES;
        sleep(pause.clamp(PEER_NEWS, PEER_NEWS_MOST)).await;
    }
}

/// Returns how many bytes that were; `None` if nobody listens any more.
async fn tell_changes(
    follower: &Follower,
    told: impl Fn(&Name) -> pb::Name,
    sender: &mpsc::Sender<Told>,
    is_complete: &mut bool,
) -> Option<usize> {
    let (mut names, mut bytes, mut all) = (Vec::new(), 0, 0);
    loop {
        let next = follower.take();
        let is_last = next.is_none();
        if let Some(name) = next.as_ref().map(&told) {
            bytes += name.encoded_len();
            names.push(name);
        }
        if !is_last && bytes < PEER_MESSAGE_ENOUGH {
            continue;
        }
        if names.is_empty() && *is_complete {
            return Some(all);
        }
        *is_complete |= is_last;
        let names = std::mem::take(&mut names);
        let response = pb::NamesResponse { names, complete: *is_complete };
        sender.send(Ok(response)).await.ok()?;
        all += std::mem::take(&mut bytes);
        if is_last {
            return Some(all);
        }
    }
}

fn told(registry: &Registry, stop: &Stop, name: &Name) -> pb::Name {
    let agents = registry.local_agents(name);
    let agents = agents.iter().take(PEER_AGENTS).map(|local| agent(local, stop.is_draining()));
    let ousted = registry.ousted_from(name);
    pb::Name { name: name.to_string(), agents: agents.collect(), ousted }
}

fn agent(LocalAgent { agent, sessions }: &LocalAgent, hub_drains: bool) -> pb::Agent {
    let oldest = sessions.iter().min_by_key(|session| session.link.since);
    let rtt = sessions.iter().filter_map(|session| session.link.ws().rtt()).min();
    agent.tells_rtt(rtt);
    let usable = || sessions.iter().filter(|session| session.is_usable());
    pb::Agent {
        number: agent.id,
        instance: agent.instance.clone(),
        labels: agent.labels.clone().into_iter().collect(),
        agent_version: agent.version.clone(),
        scheme: agent.scheme.to_string(),
        authority: agent.authority.as_ref().map(ToString::to_string).unwrap_or_default(),
        speaks: agent.speaks.to_header().unwrap_or_default(),
        holder: agent.holder_id().map(str::to_owned),
        ownership: ownership(agent.holder.as_ref()).into(),
        came: agent.came,
        draining: hub_drains || usable().next().is_none(),
        suspect: usable().all(|session| session.is_suspect()),
        upstream_unreachable: agent.upstream() == Upstream::Down,
        sessions: u32::try_from(sessions.len()).unwrap_or(LANES_MAX.get()),
        remote_address: oldest.map(|oldest| oldest.link.peer.to_string()).unwrap_or_default(),
        connected_since: oldest.map(|oldest| oldest.link.since.into()),
        max_lanes: u32::try_from(agent.lanes.max()).unwrap_or(LANES_MAX.get()),
        drains: agent.drains(),
        rtt: rtt.and_then(|rtt| rtt.try_into().ok()),
    }
}

fn ownership(holder: Option<&Holder>) -> pb::Ownership {
    match holder.map_or(Ownership::Share, Holder::ownership) {
        Ownership::Share => pb::Ownership::Unspecified,
        Ownership::Exclusive => pb::Ownership::Exclusive,
        Ownership::Takeover => pb::Ownership::Takeover,
        Ownership::Standby => pb::Ownership::Standby,
    }
}
