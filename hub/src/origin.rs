//! Where a connection comes from, and where it is served.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use h2::StreamId;
use tokio::sync::{Mutex, Semaphore};
use tunnel::limits::{ANSWERS, ANSWERS_FORGIVEN, OWN_CALLS};

use crate::growing_windows::{Grants, Growth};
use crate::hub::Hub;
use crate::limit::Limit;
use crate::pace::Pace;
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
    /// Calls that the hub itself answered.
    answers: Arc<Mutex<Pace>>,
    /// What is due to the windows of its streams.
    pub(crate) grants: Arc<Grants>,
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
        let answers = Arc::new(Mutex::new(Pace::new(ANSWERS, ANSWERS_FORGIVEN)));
        let grants = Arc::default();
        Self { hub, peer, connection, own_calls, answers, grants, worker, stop }
    }

    /// Of the window in which a call of the connection sends.
    pub(crate) fn growth(&self, stream: StreamId) -> Growth {
        Growth::new(self.grants.clone(), stream.as_u32(), self.hub.config.stream_window)
    }

    /// Resolves when the hub itself may answer a call of this connection: one after the other, so that a
    /// client which calls only to be refused does not keep the thread busy.
    pub(crate) async fn answer(&self) {
        let mut answers = self.answers.lock().await;
        if answers.did(1) {
            self.hub.limits.reached(Limit::Answers, self.peer, None);
        }
        poll_fn(|cx| answers.poll_paid(cx)).await;
    }

    pub(crate) fn party(&self) -> Party {
        Party { connection: self.connection, address: self.peer.ip() }
    }
}
