//! Where a connection comes from, and where it is served.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use h2::StreamId;
use tokio::sync::{Mutex, Semaphore};
use tunnel::allowance::Allowance;
use tunnel::limits::{
    ANSWERS, ANSWERS_FORGIVEN, CANCELS, CANCELS_FORGIVEN, HEAD_BYTES, HEAD_BYTES_FORGIVEN,
    HEAD_BYTES_FREE, OWN_CALLS, STORM_CALLS, STORM_CALLS_FORGIVEN,
};

use crate::growth::{Grants, Growth};
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
    paces: Arc<Paces>,
    /// What is due to the windows of its streams.
    pub(crate) grants: Arc<Grants>,
    pub(crate) worker: usize,
    /// The worker's own.
    pub(crate) stop: Stop,
}

/// What one connection does only so fast.
#[derive(Debug)]
struct Paces {
    /// Calls that the hub itself answered.
    answers: Mutex<Pace>,
    /// Bytes of long heads, as they are when decoded.
    heads: Mutex<Pace>,
    /// What is left of the calls that may be cancelled before the next ones begin at a pace.
    cancels: parking_lot::Mutex<Allowance>,
    /// Those.
    storm: Mutex<Pace>,
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
        let paces = Arc::new(Paces {
            answers: Mutex::new(Pace::new(ANSWERS, ANSWERS_FORGIVEN)),
            heads: Mutex::new(Pace::new(HEAD_BYTES, HEAD_BYTES_FORGIVEN)),
            cancels: parking_lot::Mutex::new(Allowance::new(CANCELS, CANCELS_FORGIVEN)),
            storm: Mutex::new(Pace::new(STORM_CALLS, STORM_CALLS_FORGIVEN)),
        });
        let grants = Arc::default();
        Self { hub, peer, connection, own_calls, paces, grants, worker, stop }
    }

    /// Of the window in which a call of the connection sends.
    pub(crate) fn growth(&self, stream: StreamId) -> Growth {
        Growth::new(self.grants.clone(), stream.as_u32(), self.hub.config.stream_window)
    }

    /// Resolves when the hub itself may answer a call of this connection: one after the other, so that a
    /// client which calls only to be refused does not keep the thread busy.
    pub(crate) async fn answer(&self) {
        self.wait(&self.paces.answers, 1, Limit::Answers).await;
    }

    /// Resolves when a call of the connection with so large a header list may go on. A few bytes of
    /// references to fields that came before can stand for all of it, so `client_guard` does not see it.
    pub(crate) async fn long_head(&self, size: usize) {
        let long = (size as u32).saturating_sub(HEAD_BYTES_FREE);
        if long > 0 {
            self.wait(&self.paces.heads, long, Limit::ClientHeads).await;
        }
    }

    /// A call of the connection was cancelled that had reached an upstream.
    pub(crate) fn cancelled(&self) {
        // With nothing left, it is a storm already.
        let _ = self.paces.cancels.lock().spend(1);
    }

    /// One was answered to its end: who makes many calls may cancel many.
    pub(crate) fn completed(&self) {
        self.paces.cancels.lock().earn(1);
    }

    /// Resolves when a call of the connection may begin: one after the other where most are cancelled, so that
    /// others do not meet whole batches of them at an upstream.
    pub(crate) async fn begin(&self) {
        let is_storm = self.paces.cancels.lock().is_low();
        if is_storm {
            self.wait(&self.paces.storm, 1, Limit::CancelStorm).await;
        }
    }

    async fn wait(&self, pace: &Mutex<Pace>, amount: u32, limit: Limit) {
        let mut pace = pace.lock().await;
        if pace.did(amount) {
            self.hub.limits.reached(limit, self.peer, None);
        }
        poll_fn(|cx| pace.poll_paid(cx)).await;
    }

    pub(crate) fn party(&self) -> Party {
        Party { connection: self.connection, address: self.peer.ip() }
    }
}
