//! What the agent is told, checked: nothing below here validates again.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tunnel::dial::TlsClient;
use tunnel::hub_uri::HubUri;
use tunnel::limits::{DRAIN_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LANES_MAX};
use tunnel::log::Log;
use tunnel::proxy::ProxySetting;
use tunnel::registration::{Registration, RegistrationError};
use tunnel::setting::Setting;
use tunnel::tls::{Identity, TlsError, Trust, client_config_of};
use tunnel::ws::KeepaliveConfig;

use crate::exposed::Exposed;
use crate::hub_headers::HubHeaders;
use crate::hub_uris::HubUris;
use crate::limits::LANE_MEMORY;

/// How an agent runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is exposed.
    pub first: Exposed,
    /// What else is, on the same sessions: at most [`NAMES_MAX`](tunnel::limits::NAMES_MAX) with the first. The hub takes
    /// all of them, or none.
    pub others: Vec<Exposed>,
    /// Where the hub is, or the hubs: each session is with the first one that takes it. Where hubs are one, sessions are at two
    /// of them, whether they are listed here or not.
    pub hubs: HubUris,
    /// No others are dialled, though hubs tell of more.
    pub hub_uris_only: bool,
    /// Holds the credential; read anew for each dial.
    pub token_file: Option<PathBuf>,
    /// What the upgrade carries for whoever is in front of the hubs.
    pub hub_headers: HubHeaders,
    /// The way to the hubs.
    pub proxy: ProxySetting,
    /// Whose certificate the hub may show.
    pub trust: Trust,
    /// What the agent shows a hub that asks for a certificate.
    pub identity: Option<Identity>,
    /// How many sessions to hold; `None`: as many as the hub advises.
    pub sessions: Option<u16>,
    /// What to say about this agent.
    pub labels: BTreeMap<String, String>,
    /// How many lanes to take at once, each of them a connection to an upstream; fewer where the system allows fewer
    /// open files.
    pub max_lanes: Setting<NonZeroU32>,
    /// Bytes that lanes may have on their way from the hub together, beyond what each begins with.
    pub lane_memory: usize,
    /// Time between two pings, of the agent and of the hub; `None`: what the hub advises.
    pub keepalive_interval: Option<Duration>,
    /// A hub that says nothing for so long is gone, or for twice the interval, where that is longer.
    pub keepalive_timeout: Duration,
    /// Sessions are replaced before they are so old, for whoever ends every connection at that age; `None`: at the age
    /// at which sessions turn out to be lost.
    pub max_session_age: Option<Duration>,
    /// How long running calls may take to end once the agent is asked to stop.
    pub drain_timeout: Duration,
    /// The random id of this agent, by which the hub tells it from others of the same name.
    pub instance: String,
    /// Each time that it is told, what files say is read anew: whom to trust, for all dials from then on, how many lanes to
    /// take, and what to log.
    pub reload: Arc<Notify>,
    /// Which lines are logged.
    pub log: Log,
    /// Where `/healthz`, `/readyz` and `/metrics` are served.
    pub admin: Option<Arc<TcpListener>>,
}

impl Config {
    /// An agent of one hub with the defaults of the command line.
    #[must_use]
    pub fn new(first: Exposed, hub: HubUri) -> Self {
        Self {
            first,
            others: Vec::new(),
            hubs: hub.into(),
            hub_uris_only: false,
            token_file: None,
            hub_headers: HubHeaders::default(),
            proxy: ProxySetting::Environment,
            trust: Trust::System,
            identity: None,
            sessions: None,
            labels: BTreeMap::new(),
            max_lanes: Setting::Value(LANES_MAX),
            lane_memory: LANE_MEMORY,
            keepalive_interval: None,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            max_session_age: None,
            drain_timeout: DRAIN_TIMEOUT,
            // 64 random bits: unique among the processes of one name, and no secret.
            instance: format!("{:016x}", fastrand::u64(..)),
            reload: Arc::default(),
            log: Log::default(),
            admin: None,
        }
    }

    /// All that is exposed.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = &Exposed> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The names, for people.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.exposed().map(|exposed| exposed.name.as_str()).collect();
        names.join(", ")
    }

    /// How a session with a hub that advises such an interval is kept alive.
    pub(crate) fn keepalive(&self, advised: Option<Duration>) -> KeepaliveConfig {
        let interval = self.keepalive_interval.or(advised).unwrap_or(KEEPALIVE_INTERVAL);
        // Two missed pings, as by default.
        let timeout = self.keepalive_timeout.max(interval.saturating_mul(2));
        KeepaliveConfig { interval, timeout }
    }

    /// TLS towards the hubs, where it is spoken. Files that are named for nothing are read, too: a mistake in them should not
    /// wait for the day they are needed. But a container without certificates is no obstacle to `ws://`.
    pub(crate) fn tls_client(&self) -> Result<Option<TlsClient>, TlsError> {
        let is_named = matches!(self.trust, Trust::CaFile(_)) || self.identity.is_some();
        if !is_named && !self.hubs.iter().any(|hub| hub.tls) {
            return Ok(None);
        }
        Ok(Some(TlsClient {
            config: client_config_of(self.identity.as_ref(), &self.trust, &[b"http/1.1"])?,
            trust: self.trust.clone(),
            server_name: None,
            ca_flag: "--tls-ca-file",
        }))
    }

    /// Whether a hub can be told of it.
    pub(crate) fn check(&self) -> Result<(), RegistrationError> {
        self.registration(0, NonZeroU32::MIN).write_to(&mut HeaderMap::new())
    }

    /// What one session says when it registers under this number, of an agent that takes so many lanes.
    pub(crate) fn registration(&self, slot: u16, max_lanes: NonZeroU32) -> Registration {
        Registration {
            first: self.first.registration(),
            others: self.others.iter().map(Exposed::registration).collect(),
            instance: self.instance.clone(),
            slot,
            labels: self.labels.clone(),
            max_lanes: Some(max_lanes.get()),
            keepalive_interval: self.keepalive_interval,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{agent, services};

    #[test]
    fn a_silence_may_last_for_two_pings() {
        let mut config = agent(services(), 1).config;
        let keepalive = |config: &Config, advised: Option<u64>| {
            let keepalive = config.keepalive(advised.map(Duration::from_secs));
            (keepalive.interval.as_secs(), keepalive.timeout.as_secs())
        };
        assert_eq!(keepalive(&config, None), (15, 30));
        assert_eq!(keepalive(&config, Some(5)), (5, 30));
        assert_eq!(keepalive(&config, Some(60)), (60, 120));
        config.keepalive_interval = Some(Duration::from_secs(300));
        assert_eq!(keepalive(&config, Some(5)), (300, 600));
    }
}
