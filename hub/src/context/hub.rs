//! What all parts of one hub share.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tracing::{info, warn};
use tunnel::lanes::LaneMemory;
use tunnel::token_bucket::TokenBucket;
use tunnel::wire::{Control, HubPeers};

use crate::config::{Config, ConfigError};
use crate::context::beginning::Beginning;
use crate::context::doors::Doors;
use crate::directory::Claims;
use crate::guard::handshakes::Handshakes;
use crate::guard::held_bytes::HeldBytes;
use crate::guard::pace::Pace;
use crate::guard::rate_by::RateBy;
use crate::lanes::{LaneOpener, Sentinels};
use crate::limits::{
    HANDSHAKES, PAGE_STREAMS, PEER_HANDSHAKES, PUBLIC_URIS, REGISTRANTS, REGISTRATIONS,
    REGISTRATIONS_LATE, RELOADS, SECOND_HANDLES, TURN_LATE,
};
use crate::observe::activity::Activity;
use crate::observe::books::Books;
use crate::observe::heard::Heard;
use crate::observe::limit::Limits;
use crate::observe::metrics::Metrics;
use crate::registry::{Others, Registry};
use crate::services;
use crate::stop::Stop;

/// One hub. Everything in it is shared by all workers.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    /// Who may come in.
    pub(crate) doors: Doors,
    /// How often whoever reaches the admin listener may have them read anew.
    pub(crate) reloads: Mutex<TokenBucket>,
    /// Random id of this process.
    pub(crate) node_id: String,
    /// How many sessions an agent should open.
    pub(crate) advised_sessions: usize,
    /// By it callers become sources of lanes: the same at all hubs that share a token, so that an agent which is at several, or
    /// is called by way of several, gives each caller one share.
    pub(crate) source_key: [u8; 32],
    pub(crate) registry: Arc<Registry>,
    /// Of the directory.
    pub(crate) directory: Arc<Heard>,
    /// Names that agents of this hub have exclusively, as the directory knows.
    pub(crate) claims: Arc<Claims>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) books: Books,
    pub(crate) limits: Arc<Limits>,
    pub(crate) handshakes: Handshakes,
    /// Second handles of sockets that there may be.
    pub(crate) second_handles: Arc<Semaphore>,
    /// Bytes of calls that wait here.
    pub(crate) held: Arc<HeldBytes>,
    /// What lanes may have on their way.
    pub(crate) lane_memory: LaneMemory,
    /// How often an address may register: a loop of registrations costs everybody who watches the registry.
    pub(crate) registrants: RateBy<IpAddr>,
    /// How fast all together may, where the hub is behind.
    pub(crate) pace: Pace,
    /// Opens lanes on agents' sessions.
    pub(crate) lanes: Arc<LaneOpener>,
    /// Lanes that stand ready.
    pub(crate) sentinels: Arc<Sentinels>,
    pub(crate) services: Routes,
    /// Pages that may watch what happens, at the admin listener.
    pub(crate) page_streams: Arc<Semaphore>,
    /// What only other hubs reach.
    pub(crate) peer_services: Routes,
    /// Handshakes of other hubs at once.
    pub(crate) peer_handshakes: Handshakes,
    /// Of a hub that has others.
    pub(crate) beginning: Beginning,
    pub(crate) stop: Stop,
    /// Every accepted connection.
    pub(crate) connections: TaskTracker,
    /// Those that speak HTTP/2, for as long as they have calls.
    pub(crate) clients: TaskTracker,
}

impl Hub {
    /// # Errors
    /// The access log cannot be opened, or spans cannot be sent at all.
    pub(crate) fn new(config: Config) -> io::Result<Arc<Self>> {
        let activity = Arc::new(Activity::new());
        let metrics = Metrics::with_names(config.metrics_names);
        let registry = Arc::new(Registry::new(activity.clone(), metrics.clone()));
        registry.heed(&config.keys.auth);
        let stop = Stop::default();
        let limits = Arc::new(Limits::new(metrics.clone(), activity.clone()));
        let lanes = LaneOpener::new(&registry, &metrics);
        let sentinels = Sentinels::new(&lanes, &limits);
        let node_id = random_id();
        let (directory, held) = (Arc::default(), HeldBytes::new(config.max_held));
        let (heard, kept) = (Arc::clone(&directory), held.clone());
        let state = services::State::new(&metrics, &limits, (kept, heard), &stop);
        Ok(Arc::new(Self {
            books: Books::open(&config, &node_id, &metrics)?,
            // One for each worker, so that most calls stay on their thread. Two at least, so that a lost
            // connection leaves one; four at most, for more only cost memory.
            advised_sessions: config.workers.get().clamp(2, 4),
            services: services::routes(&node_id, &registry, &activity, &state),
            page_streams: Arc::new(Semaphore::new(PAGE_STREAMS)),
            peer_services: services::peers::routes(&node_id, &registry, &activity, &stop),
            node_id,
            source_key: config.peering.source_key().unwrap_or_else(random_key),
            peer_handshakes: Handshakes::new(PEER_HANDSHAKES),
            registry,
            directory,
            claims: Arc::default(),
            activity,
            limits,
            handshakes: Handshakes::new(HANDSHAKES),
            second_handles: Arc::new(Semaphore::new(SECOND_HANDLES)),
            held,
            lane_memory: LaneMemory::new(config.lane_memory),
            registrants: RateBy::new(REGISTRATIONS, REGISTRANTS),
            pace: Pace::new(TURN_LATE, REGISTRATIONS_LATE),
            sentinels,
            lanes,
            metrics,
            beginning: Beginning::new(config.peering.has_others()),
            stop,
            reloads: Mutex::new(TokenBucket::new(RELOADS)),
            doors: Doors::new(config.keys.clone(), config.key_files.clone(), config.workers.get()),
            connections: TaskTracker::new(),
            clients: TaskTracker::new(),
            config,
        }))
    }

    /// Reads anew what can be, for all that comes and for all that is open.
    ///
    /// # Errors
    /// A file cannot be used; everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        // Whatever is wrong with the files that are read: this one may have been moved away.
        self.books.reopen();
        let reloaded = self.read_anew();
        match &reloaded {
            Ok(()) => info!("reloaded"),
            Err(error) => warn!(%error, "not reloaded: everything stays as it was"),
        }
        self.metrics.reloaded(reloaded.is_ok());
        if reloaded.is_ok() {
            self.note_certificate();
        }
        reloaded
    }

    /// All of it, or nothing.
    fn read_anew(&self) -> Result<(), ConfigError> {
        let filter = self.config.log.read()?;
        self.doors.reload()?;
        self.registry.heed(&self.doors.keys(0).auth);
        filter.apply();
        Ok(())
    }

    /// What agents are told of all hubs, this one among them: by each hub the same.
    pub(crate) fn all_hubs(&self, others: &Others) -> Control {
        others.told.get_or_init(|| self.put_all_hubs(others).shared()).clone()
    }

    fn put_all_hubs(&self, others: &Others) -> Control {
        let uris = others.uris.iter().chain(&self.config.peering.public_uri);
        let mut uris: Vec<_> = uris.map(ToString::to_string).collect();
        uris.sort_unstable();
        uris.dedup();
        // All of it is one message.
        uris.truncate(PUBLIC_URIS);
        Control::HubPeers(Box::new(HubPeers { count: others.count.saturating_add(1), uris }))
    }

    /// Tells for how long the certificate is good.
    pub(crate) fn note_certificate(&self) {
        if let Some(not_after) = self.config.key_files.not_after() {
            self.metrics.certificate_ends(not_after);
        }
    }
}

/// Of a hub that shares none with others.
fn random_key() -> [u8; 32] {
    // The system's own randomness, as hash maps have it.
    let random = RandomState::new();
    std::array::from_fn(|at| random.hash_one(at).to_be_bytes()[0])
}

/// 64 random bits: unique among the processes and sessions that ever meet, and no secret.
pub(crate) fn random_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_all_agents_are_told_is_put_into_words_once() {
        let (hub, others) = (Hub::new(Config::default()).expect("a hub"), Others::default());
        let told = [hub.all_hubs(&others), hub.all_hubs(&others)];
        let [Control::Shared(one), Control::Shared(other)] = &told else { panic!("{told:?}") };
        assert!(Arc::ptr_eq(one, other));
        assert_eq!(&**one, r#"{"count":1,"type":"hub-peers","uris":[]}"#);
    }

    #[test]
    fn many_sessions_are_told_one_after_the_other() {
        let hub = Hub::new(Config::default()).expect("a hub");
        let sessions = |count| (0..count).map(|_| hub.registry.other_hubs()).collect::<Vec<_>>();
        let lasts = |count| {
            let _sessions = sessions(count);
            hub.registry.telling_lasts()
        };
        assert_eq!(lasts(100), Duration::from_millis(10));
        assert_eq!(lasts(20_000), Duration::from_secs(1));
    }
}
