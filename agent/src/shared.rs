//! What all slots and lanes of one agent share.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use tunnel::dial::TlsClient;
use tunnel::lanes::LaneMemory;
use tunnel::limits::SESSIONS_PAIRED;
use tunnel::registration::share_of_lanes;

use crate::age::AgeLimit;
use crate::config::Config;
use crate::hubs::Hubs;
use crate::metrics::Metrics;
use crate::reach::Reach;
use crate::reload::{ReloadError, Settings};
use crate::standing::Standing;
use crate::succession::Turns;

/// The agent: how it is configured, what it is asked to do, and what it has room for.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// Towards the hubs, where it is spoken.
    tls: watch::Sender<Option<TlsClient>>,
    pub(crate) hubs: Arc<Hubs>,
    /// With which of them there are sessions.
    pub(crate) standing: Standing,
    pub(crate) metrics: Metrics,
    /// How many sessions the hub advises.
    pub(crate) advised: watch::Sender<u16>,
    /// The agent is asked to stop.
    pub(crate) stop: CancellationToken,
    /// What still runs must end.
    pub(crate) cut: CancellationToken,
    /// Sessions, those included that a newer one has replaced and whose calls still run.
    pub(crate) sessions: TaskTracker,
    /// How old sessions may become.
    pub(crate) age: AgeLimit,
    /// Old ones are replaced in turns.
    pub(crate) turns: Turns,
    /// What is behind each of its names, in their order.
    pub(crate) reaches: Box<[Arc<Reach>]>,
    /// What lanes may have on their way.
    pub(crate) lane_memory: LaneMemory,
    /// How many lanes there may be, of all names together.
    pub(crate) max_lanes: watch::Sender<NonZeroU32>,
}

impl Shared {
    /// # Errors
    /// A file cannot be used, or no hub can be told what there is.
    pub(crate) fn new(config: Config) -> Result<Self, ReloadError> {
        config.check()?;
        let Settings { tls, upstream_tls, max_lanes } = Settings::read(&config)?;
        let names = config.exposed().count();
        let exposed = config.exposed().cloned().zip(upstream_tls);
        let metrics = Metrics::new();
        let reaches = Reach::all(exposed, share_of_lanes(max_lanes.get(), names), &metrics);
        Ok(Self {
            tls: watch::Sender::new(tls),
            hubs: Arc::new(Hubs::new(&config)),
            standing: Standing::default(),
            metrics,
            reaches,
            advised: watch::Sender::new(1),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            sessions: TaskTracker::new(),
            age: AgeLimit::new(config.max_session_age),
            turns: Turns::new(),
            lane_memory: LaneMemory::new(config.lane_memory),
            max_lanes: watch::Sender::new(max_lanes),
            config,
        })
    }

    /// Whether each slot has two numbers, so that a session and its successor are registered side by side.
    pub(crate) fn is_paired(&self) -> bool {
        self.config.sessions.is_none_or(|sessions| sessions <= SESSIONS_PAIRED)
    }

    /// TLS towards the hubs, as it is now.
    pub(crate) fn tls(&self) -> Option<TlsClient> {
        self.tls.borrow().clone()
    }

    /// Reads anew what files say. If one of them cannot be used, everything stays as it was.
    pub(crate) fn reload(&self) {
        let read = self.read_anew();
        self.metrics.reloaded(read.is_ok());
        match read {
            Ok(()) => info!("reloaded"),
            Err(error) => warn!(%error, "not reloaded: everything stays as it was"),
        }
    }

    fn read_anew(&self) -> Result<(), ReloadError> {
        let filter = self.config.log.read()?;
        let Settings { tls, upstream_tls, max_lanes } = Settings::read(&self.config)?;
        filter.apply();
        self.tls.send_replace(tls);
        let share = share_of_lanes(max_lanes.get(), self.reaches.len());
        for (reach, tls) in self.reaches.iter().zip(upstream_tls) {
            reach.set_tls(tls);
            reach.places.resize(share);
        }
        self.max_lanes.send_replace(max_lanes);
        Ok(())
    }
}
