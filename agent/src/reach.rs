//! How an upstream is reached, and whether it can be.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::{error, warn};
use tunnel::box_io::BoxIo;
use tunnel::dial::TlsClient;
use tunnel::wire;

use crate::exposed::{BUILT_IN, Exposed, Upstream};
use crate::limits::{LANE_DIAL_TIMEOUT, LANE_DIALS};
use crate::metrics::{Metrics, NameMetrics};
use crate::monitor::Monitor;
use crate::places::Places;
use crate::upstream::{UpstreamAddr, UpstreamError};

/// A name, and how its upstream is reached.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) exposed: Exposed,
    /// Whether its upstream is there.
    pub(crate) monitor: Monitor,
    /// Dials that may be under way at once: a crowd of callers is no flood there.
    pub(crate) dials: Arc<Semaphore>,
    /// For its lanes, on all sessions together.
    pub(crate) places: Places,
    pub(crate) metrics: NameMetrics,
    tls: watch::Sender<Option<TlsClient>>,
}

impl Reach {
    /// Of each name, with TLS to its upstream where it is spoken, and so many places. Names that lead to one server share what
    /// burdens it.
    pub(crate) fn all(
        exposed: impl IntoIterator<Item = (Exposed, Option<TlsClient>)>,
        places: u32,
        metrics: &Metrics,
    ) -> Box<[Arc<Self>]> {
        let mut all: Vec<Arc<Self>> = Vec::new();
        for (exposed, tls) in exposed {
            let is_same = |other: &&Arc<Self>| other.exposed.upstream.is_same(&exposed.upstream);
            let (dials, monitor) = match all.iter().find(is_same) {
                Some(same) => (same.dials.clone(), same.monitor.of_same_server()),
                None => (Arc::new(Semaphore::new(LANE_DIALS)), Monitor::new()),
            };
            let metrics = metrics.of_name(exposed.name.as_str());
            let (places, tls) = (Places::new(places), watch::Sender::new(tls));
            all.push(Arc::new(Self { exposed, monitor, dials, places, metrics, tls }));
        }
        all.into()
    }

    /// Under which it is called.
    pub(crate) fn name(&self) -> &str {
        self.exposed.name.as_str()
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

    /// The hub has found that it speaks no HTTP/2, or that it is silent.
    pub(crate) fn found_not_http2(&self, silent: bool) {
        let Exposed { name, upstream, .. } = &self.exposed;
        let why = match silent {
            true => wire::SILENT.to_owned(),
            false => format!("{}{}", wire::NOT_HTTP2, upstream.hint()),
        };
        if self.monitor.found_unfit(&why) {
            if silent {
                warn!(%name, "{why}");
            } else {
                error!(%name, "{why}; this needs a change of configuration");
            }
        }
    }

    /// Keeps an eye on it, for ever.
    pub(crate) async fn watch(&self) {
        match &self.exposed.upstream {
            Upstream::Server(addr) => {
                let dial = || async { self.dial(addr).await.map(drop) };
                self.monitor.run(addr, dial).await;
            }
            // They are always there; but a hub that could not wait for them does not know.
            Upstream::Services(_) => self.monitor.run(&BUILT_IN, async || Ok(())).await,
        }
    }
}
