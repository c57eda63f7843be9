//! What one caller of a connection has of the hub's own services, whoever it is.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::config::auth::Auth;
use crate::config::keys::Keys;

/// Goes with each of its calls. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Whose connection it is.
    pub(super) peer: SocketAddr,
    /// Who may come in, as it changes.
    pub(super) keys: watch::Receiver<Arc<Keys>>,
    /// One watch of health, which nobody else can take from it.
    pub(super) watch: Arc<Semaphore>,
    /// One list of health at a time: those of others wait for no more.
    pub(super) list: Arc<Semaphore>,
}

impl Visit {
    pub(crate) fn new(peer: SocketAddr, keys: watch::Receiver<Arc<Keys>>) -> Self {
        let [watch, list] = [1, 1].map(|places| Arc::new(Semaphore::new(places)));
        Self { peer, keys, watch, list }
    }

    /// Who may come in now.
    pub(super) fn auth(&self) -> Auth {
        self.keys.borrow().auth.clone()
    }
}
