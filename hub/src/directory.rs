//! Which other hubs there are: a list that never changes, and those that an etcd tells of.
//!
//! In etcd each hub has one key, `PREFIX/nodes/ID`, which says where others reach it, and goes with its lease. Which names it
//! has it tells the others itself ([`peers`](crate::peers)): what is known of them is as good as the connection with their
//! hub. So etcd has little to do, and while it is away all goes on as it was.

mod etcd;
mod membership;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use tunnel::dial::Backoff;

use self::etcd::{Etcd, EtcdError};
use self::membership::Membership;
use crate::config::directory::Directory;
use crate::config::peer_addr::PeerAddr;
use crate::context::hub::Hub;
use crate::limits::DIRECTORY_BACKOFF;

/// Where the other hubs are; this one may be among them.
pub(crate) type Nodes = BTreeSet<PeerAddr>;

/// Keeps this hub in the directory, and tells who else is in it, until it drains; then it takes itself out.
pub(crate) async fn run(directory: Directory, nodes: watch::Sender<Nodes>, hub: Arc<Hub>) {
    let mut backoff = Backoff::up_to(DIRECTORY_BACKOFF);
    let mut members = directory.uri.members.iter().cycle();
    let mut is_well = true;
    while !hub.stop.is_moving() {
        let Some(member) = members.next() else { return };
        let began = Instant::now();
        let Err(lost) = take_part(member, &directory, &nodes, &hub).await else { return };
        backoff.survived(began.elapsed());
        if hub.directory.age().is_some_and(|age| age < began.elapsed()) || is_well {
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
    nodes: &watch::Sender<Nodes>,
    hub: &Hub,
) -> Result<(), EtcdError> {
    let begins = async {
        let etcd = Etcd::connect(member, directory).await?;
        Membership::begin(etcd, directory, &hub.node_id).await
    };
    let membership = tokio::select! {
        membership = begins => membership?,
        () = hub.stop.moving() => return Ok(()),
    };
    info!(%member, node = hub.node_id, "in the directory");
    let hears = |now: Option<Nodes>| {
        hub.directory.now();
        if let Some(now) = now {
            nodes.send_replace(now);
        }
    };
    tokio::select! {
        ended = membership.keep(hears) => ended.map(|never| match never {}),
        () = hub.stop.moving() => {
            // Nobody is to dial it any more.
            membership.end().await;
            Ok(())
        }
    }
}
