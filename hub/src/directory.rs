//! Which other hubs there are: a list that never changes, and those that an etcd tells of.
//!
//! In etcd each hub has one key, `PREFIX/nodes/ID`, which says where others reach it, and goes with its lease. Which names it
//! has it tells the others itself ([`peers`](crate::peers)): what is known of them is as good as the connection with their
//! hub. So etcd has little to do, and while it is away all goes on as it was; but nobody new gets a name exclusively then
//! ([`claims`]).

mod claims;
mod etcd;
#[cfg(test)]
mod fake_etcd;
mod membership;
#[cfg(test)]
mod model;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use tunnel::dial::Backoff;

pub(crate) use self::claims::{Claim, ClaimError, Claims};
use self::etcd::{Etcd, EtcdError};
use self::membership::Membership;
use crate::config::directory::Directory;
use crate::config::peer_addr::PeerAddr;
use crate::limits::DIRECTORY_BACKOFF;
use crate::observe::heard::Heard;
use crate::stop::Stop;

/// Where the other hubs are; this one may be among them.
pub(crate) type Nodes = BTreeSet<PeerAddr>;

/// What of this hub the directory is about, and what it is told.
#[derive(Debug)]
pub(crate) struct Member {
    /// The hub's id.
    pub(crate) node: String,
    pub(crate) stop: Stop,
    /// When something was heard.
    pub(crate) heard: Arc<Heard>,
    /// Which names are to be whose alone.
    pub(crate) claims: Arc<Claims>,
    /// Which hubs there are.
    pub(crate) nodes: watch::Sender<Nodes>,
}

/// How a member of the directory is connected to.
type Dial =
    dyn Fn(PeerAddr) -> Pin<Box<dyn Future<Output = Result<Etcd, EtcdError>> + Send>> + Send + Sync;

/// Keeps this hub in the directory, and tells who else is in it, until it drains; then it takes itself out.
pub(crate) async fn run(directory: Directory, hub: Member) {
    let directory = Arc::new(directory);
    let dialled = directory.clone();
    let dial = move |member: PeerAddr| {
        let directory = dialled.clone();
        Box::pin(async move { Etcd::connect(&member, &directory).await }) as Pin<Box<_>>
    };
    run_by(&directory, hub, &dial).await;
}

async fn run_by(directory: &Directory, hub: Member, dial: &Dial) {
    let mut backoff = Backoff::up_to(DIRECTORY_BACKOFF);
    let mut members = directory.uri.members.iter().cycle();
    let mut is_well = true;
    while !hub.stop.is_moving() {
        let Some(member) = members.next() else { return };
        let began = Instant::now();
        let Err(lost) = take_part(member, directory, &hub, dial).await else { return };
        backoff.survived(began.elapsed());
        if hub.heard.age().is_some_and(|age| age < began.elapsed()) || is_well {
            warn!(%member, error = %lost, "directory lost: all goes on as it was, and it is tried again and again");
        }
        is_well = false;
        tokio::select! {
            () = sleep(backoff.next(fastrand::f64())) => {}
            () = hub.stop.moving() => return,
        }
    }
}

/// By one member of it, until that is lost; or, without an error, until the hub begins to drain.
async fn take_part(
    member: &PeerAddr,
    directory: &Directory,
    hub: &Member,
    dial: &Dial,
) -> Result<(), EtcdError> {
    let begins = async {
        let etcd = dial(member.clone()).await?;
        Membership::begin(etcd, directory, &hub.node).await
    };
    let membership = tokio::select! {
        membership = begins => membership?,
        () = hub.stop.moving() => return Ok(()),
    };
    info!(%member, node = hub.node, "in the directory");
    let hears = |now: Option<Nodes>| {
        hub.heard.now();
        if let Some(now) = now {
            hub.nodes.send_replace(now);
        }
    };
    tokio::select! {
        ended = membership.keep(&hub.claims, hears) => ended.map(|never| match never {}),
        () = hub.stop.moving() => {
            // Nobody is to dial it any more.
            membership.end().await;
            hub.heard.ends();
            Ok(())
        }
    }
}
