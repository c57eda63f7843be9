//! Where a connection comes from, and where it is served.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::context::hub::Hub;
use crate::stop::Stop;

/// Goes with each connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) hub: Arc<Hub>,
    pub(crate) peer: SocketAddr,
    pub(crate) worker: usize,
    /// The worker's own.
    pub(crate) stop: Stop,
}
