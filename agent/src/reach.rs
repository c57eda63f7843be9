//! How an upstream is reached, and whether it can be.

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::error;
use tunnel::box_io::BoxIo;

use crate::exposed::{Exposed, Upstream};
use crate::limits::{LANE_DIAL_TIMEOUT, LANE_DIALS};
use crate::monitor::Monitor;
use crate::transport::TlsClient;
use crate::upstream::{UpstreamAddr, UpstreamError};

/// What all lanes to one upstream share.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) exposed: Exposed,
    /// Whether it is there.
    pub(crate) monitor: Monitor,
    /// Dials that may be under way at once: a crowd of callers is no flood there.
    pub(crate) dials: Semaphore,
    tls: watch::Sender<Option<TlsClient>>,
}

impl Reach {
    pub(crate) fn new(exposed: Exposed, tls: Option<TlsClient>) -> Self {
        Self {
            exposed,
            monitor: Monitor::new(),
            dials: Semaphore::new(LANE_DIALS),
            tls: watch::Sender::new(tls),
        }
    }

    /// TLS for all dials from now on.
    pub(crate) fn set_tls(&self, tls: Option<TlsClient>) {
        self.tls.send_replace(tls);
    }

    /// Connects to it.
    pub(crate) async fn dial(&self, addr: &UpstreamAddr) -> Result<BoxIo, UpstreamError> {
        let dialled = async {
            let _dialling = self.monitor.dials();
            // Never closed.
            let _one = self.dials.acquire().await;
            let tls = self.tls.borrow().clone();
            addr.connect(tls.as_ref()).await
        };
        Ok(timeout(LANE_DIAL_TIMEOUT, dialled).await.map_err(|_| UpstreamError::Timeout)??)
    }

    /// The hub says that it speaks no HTTP/2, as far as it can tell.
    pub(crate) fn is_not_http2(&self) {
        if self.monitor.is_unfit() {
            let Exposed { name, upstream, .. } = &self.exposed;
            let hint = upstream.hint();
            error!(%name, "the upstream does not speak HTTP/2{hint}; this needs a change of configuration");
        }
    }

    /// Keeps an eye on a server, for ever; services in this process are always there.
    pub(crate) async fn watch(&self) {
        let Upstream::Server(addr) = &self.exposed.upstream else {
            return std::future::pending().await;
        };
        let dial = || async { self.dial(addr).await.map(drop) };
        self.monitor.run(addr, dial).await;
    }
}
