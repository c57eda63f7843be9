//! What the agent is told, checked: nothing below here validates again.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;
use tokio::sync::Notify;
use tonic::service::Routes;
use tunnel::limits::{DRAIN_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LANES_MAX};
use tunnel::log::Log;
use tunnel::name::Name;
use tunnel::proxy::ProxySetting;
use tunnel::registration::Registration;
use tunnel::setting::Setting;
use tunnel::speaks::Speaks;
use tunnel::tls::{Identity, TlsError, Trust, client_config_of};
use tunnel::ws::KeepaliveConfig;

use crate::hub_headers::HubHeaders;
use crate::hub_uri::{HubUri, HubUris};
use crate::limits::LANE_MEMORY;
use crate::transport::TlsClient;
use crate::upstream::UpstreamAddr;

/// What an agent exposes.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A server at this address: its bytes are relayed.
    Server(UpstreamAddr),
    /// Services in this process.
    Services(Routes),
}

/// How an agent runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name to register.
    pub name: Name,
    /// Where the hub is, or the hubs: each session is with the first one that takes it.
    pub hubs: HubUris,
    /// What is exposed.
    pub upstream: Upstream,
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
    /// The same for an upstream over TLS.
    pub upstream_tls: UpstreamTls,
    /// How many sessions to hold; `None`: as many as the hub advises.
    pub sessions: Option<u16>,
    /// What to say about this agent.
    pub labels: BTreeMap<String, String>,
    /// Replaces `:authority` of calls.
    pub authority: Option<Authority>,
    /// What the upstream speaks beside gRPC; the hub leaves such calls as they are.
    pub speaks: Speaks,
    /// How many lanes to take at once, each of them a connection to the upstream; fewer where the system allows fewer
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
}

impl Config {
    /// An agent of one hub with the defaults of the command line.
    #[must_use]
    pub fn new(name: Name, hub: HubUri, upstream: Upstream) -> Self {
        Self {
            name,
            hubs: hub.into(),
            upstream,
            token_file: None,
            hub_headers: HubHeaders::default(),
            proxy: ProxySetting::Environment,
            trust: Trust::System,
            identity: None,
            upstream_tls: UpstreamTls::default(),
            sessions: None,
            labels: BTreeMap::new(),
            authority: None,
            speaks: Speaks::default(),
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
        }
    }

    /// How a session with a hub that advises such an interval is kept alive.
    pub(crate) fn keepalive(&self, advised: Option<Duration>) -> KeepaliveConfig {
        let interval = self.keepalive_interval.or(advised).unwrap_or(KEEPALIVE_INTERVAL);
        // Two missed pings, as by default.
        let timeout = self.keepalive_timeout.max(interval.saturating_mul(2));
        KeepaliveConfig { interval, timeout }
    }

    /// What one session says when it registers under this number, of an agent that takes so many lanes.
    pub(crate) fn registration(&self, slot: u16, max_lanes: NonZeroU32) -> Registration {
        Registration {
            name: self.name.clone(),
            instance: self.instance.clone(),
            slot,
            labels: self.labels.clone(),
            scheme: match &self.upstream {
                Upstream::Server(addr) => addr.scheme(),
                Upstream::Services(_) => Scheme::HTTP,
            },
            authority: self.authority.clone(),
            speaks: self.speaks,
            max_lanes: Some(max_lanes.get()),
            keepalive_interval: self.keepalive_interval,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// TLS towards an upstream: what is said of the hub does not hold for it.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Whose certificate it may show.
    pub trust: Trust,
    /// What the agent shows an upstream that asks for a certificate.
    pub identity: Option<Identity>,
    /// Whom its certificate is to be for, and what it is asked for; `None`: the host that is dialled.
    pub server_name: Option<ServerName<'static>>,
    /// Whether it is offered HTTP/2 by ALPN, and has to take it. Without, it is taken at its word.
    pub has_alpn: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { trust: Trust::System, identity: None, server_name: None, has_alpn: true }
    }
}

/// TLS towards both sides, where it is spoken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// HTTP/1.1, for the upgrade.
    pub(crate) hub: Option<TlsClient>,
    /// HTTP/2.
    pub(crate) upstream: Option<TlsClient>,
}

impl Tls {
    /// Reads whom to trust, if that matters: a container without certificates is no obstacle to `ws://`.
    pub(crate) fn new(config: &Config) -> Result<Self, TlsError> {
        let is_named = |trust: &Trust, identity: &Option<Identity>| {
            matches!(trust, Trust::CaFile(_)) || identity.is_some()
        };
        // Files that are named for nothing are read, too: a mistake in them should not wait for the day they are needed.
        let hub =
            config.hubs.iter().any(|hub| hub.tls) || is_named(&config.trust, &config.identity);
        let tls = &config.upstream_tls;
        let upstream = matches!(&config.upstream, Upstream::Server(addr) if addr.is_tls());
        let upstream = upstream || is_named(&tls.trust, &tls.identity);
        Ok(Self {
            hub: hub.then(|| towards_hubs(config)).transpose()?,
            upstream: upstream.then(|| towards_upstream(tls)).transpose()?,
        })
    }
}

fn towards_hubs(config: &Config) -> Result<TlsClient, TlsError> {
    Ok(TlsClient {
        config: client_config_of(config.identity.as_ref(), &config.trust, &[b"http/1.1"])?,
        trust: config.trust.clone(),
        server_name: None,
        ca_flag: "--tls-ca-file",
    })
}

fn towards_upstream(tls: &UpstreamTls) -> Result<TlsClient, TlsError> {
    let alpn: &[&[u8]] = if tls.has_alpn { &[b"h2"] } else { &[] };
    Ok(TlsClient {
        config: client_config_of(tls.identity.as_ref(), &tls.trust, alpn)?,
        trust: tls.trust.clone(),
        server_name: tls.server_name.clone(),
        ca_flag: "--upstream-tls-ca-file",
    })
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
