//! Where a connection comes from, and where it is served.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tunnel::limits::OWN_CALLS;

use crate::hub::Hub;
use crate::stop::Stop;

/// Goes with each connection and its calls. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) hub: Arc<Hub>,
    pub(crate) peer: SocketAddr,
    /// Its number among the connections of this hub.
    pub(crate) connection: u64,
    /// Its calls to the hub's own services.
    pub(crate) own_calls: Arc<Semaphore>,
    pub(crate) worker: usize,
    /// The worker's own.
    pub(crate) stop: Stop,
}

/// Whose call it is, where callers share something: a connection, because whole networks may stand behind
/// one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Party {
    pub(crate) connection: u64,
    pub(crate) address: IpAddr,
}

impl Origin {
    pub(crate) fn new(
        hub: Arc<Hub>,
        peer: SocketAddr,
        connection: u64,
        worker: usize,
        stop: Stop,
    ) -> Self {
        let own_calls = Arc::new(Semaphore::new(OWN_CALLS));
        Self { hub, peer, connection, own_calls, worker, stop }
    }

    pub(crate) fn party(&self) -> Party {
        Party { connection: self.connection, address: self.peer.ip() }
    }
}
