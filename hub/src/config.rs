//! What the hub is told, checked: nothing below here validates again.

pub(crate) mod access_log;
pub(crate) mod args;
pub(crate) mod auth;
mod auth_file;
pub(crate) mod cautions;
pub(crate) mod cors;
pub(crate) mod directory;
pub(crate) mod keys;
mod memory;
pub(crate) mod networks;
pub(crate) mod otlp;
pub(crate) mod otlp_headers;
pub(crate) mod pattern;
pub(crate) mod peer_addr;
pub(crate) mod peering;
pub(crate) mod routing;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tunnel::dial::{TlsClient, TokenError};
use tunnel::limits::{DRAIN_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, OTHER_FILES};
use tunnel::log::Log;
use tunnel::setting::SettingError;
use tunnel::tls::{Identity, TlsError, Trust, client_config_of};
use tunnel::ws::KeepaliveConfig;

use crate::config::access_log::AccessLogConfig;
use crate::config::args::Args;
use crate::config::auth::AuthFileError;
use crate::config::cors::CorsOrigins;
use crate::config::directory::{Directory, PasswordError};
use crate::config::keys::{KeyFiles, Keys};
use crate::config::networks::Networks;
use crate::config::otlp::{OtlpConfig, OtlpConfigError};
use crate::config::peering::{PeerTls, Peering};
use crate::config::routing::Routing;
use crate::limits::{
    CONNECTIONS, HELD_PART, HELD_UNKNOWN, LANE_MEMORY, MAX_CLIENT_STREAMS, METRICS_NAMES,
    PARK_TIMEOUT,
};

/// How a hub runs. [`Config::default`] is an open hub without TLS.
#[derive(Clone, Debug)]
pub struct Config {
    /// Pings to agents.
    pub keepalive: KeepaliveConfig,
    /// How long running calls may take to end once the hub is asked to stop.
    pub drain_timeout: Duration,
    /// How long a call may wait for a name that was there just now; not at all, where this is nothing.
    pub park_timeout: Duration,
    /// How long connections are still accepted once the hub is asked to stop: for balancers that look every few seconds.
    pub shutdown_delay: Duration,
    /// How old a connection may become, a client's or an agent's, or up to a fifth less: then its peer is asked to make a new
    /// one, which may lead to another hub. For ever, without.
    pub max_connection_age: Option<Duration>,
    /// How long calls on a client's connection may still run then. For ever, without.
    pub max_connection_age_grace: Option<Duration>,
    /// Worker threads.
    pub workers: NonZeroUsize,
    /// Connections at once, agents' and clients' together.
    pub max_connections: usize,
    /// Calls at once on one client connection.
    pub max_calls: u32,
    /// Names that have series of their own among the metrics; all others are counted together.
    pub metrics_names: usize,
    /// Where calls are written down, if at all.
    pub access_log: Option<AccessLogConfig>,
    /// Where spans of calls go, if anywhere.
    pub otlp: Option<OtlpConfig>,
    /// Bytes of calls that may wait in the hub for peers that do not take them, before addresses with no less of them than
    /// the average get no new calls.
    pub max_held: usize,
    /// Bytes that lanes may have on their way together, beyond what each begins with.
    pub lane_memory: usize,
    /// Balancers that say whose connections they pass on, in a PROXY header that is not taken from anybody else.
    pub proxy_protocol: Networks,
    /// Proxies that say whose requests they pass on, in `Forwarded` or `X-Forwarded-For`, which nobody else is believed.
    pub trusted_proxies: Networks,
    /// How calls get a name that say none.
    pub routing: Routing,
    /// Pages from where may call through browsers; without, preflights are answered by whom they are for.
    pub cors_origins: Option<CorsOrigins>,
    /// Other hubs.
    pub peering: Peering,
    /// Who may come in, and the certificate that the hub shows.
    pub keys: Keys,
    /// Where they are read anew, when the hub is told to.
    pub key_files: KeyFiles,
    /// Which lines are logged, which is read anew then, too.
    pub log: Log,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The auth file.
    #[error(transparent)]
    Auth(#[from] AuthFileError),
    /// The token of all hubs.
    #[error(transparent)]
    PeerToken(#[from] TokenError),
    /// User and password of the directory.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// What says where spans go.
    #[error(transparent)]
    Otlp(#[from] OtlpConfigError),
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The auth file lets nobody in any more.
    #[error("the auth file {} lists no agents and no callers any more; if that is meant, restart the hub", .0.display())]
    Shut(PathBuf),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keepalive: KeepaliveConfig { interval: KEEPALIVE_INTERVAL, timeout: KEEPALIVE_TIMEOUT },
            drain_timeout: DRAIN_TIMEOUT,
            park_timeout: PARK_TIMEOUT,
            shutdown_delay: Duration::ZERO,
            max_connection_age: None,
            max_connection_age_grace: None,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            max_connections: CONNECTIONS,
            max_calls: MAX_CLIENT_STREAMS,
            metrics_names: METRICS_NAMES,
            access_log: None,
            otlp: None,
            max_held: memory::all().map_or(HELD_UNKNOWN, |bytes| bytes / HELD_PART),
            lane_memory: LANE_MEMORY,
            proxy_protocol: Networks::default(),
            trusted_proxies: Networks::default(),
            routing: Routing::default(),
            cors_origins: None,
            peering: Peering::default(),
            keys: Keys::default(),
            key_files: KeyFiles::default(),
            log: Log::default(),
        }
    }
}

impl Config {
    /// With no more connections than `files` allow: each is one, and something is needed for the rest.
    #[must_use]
    pub fn within_open_files(mut self, files: u64) -> Self {
        let fits = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
        self.max_connections = self.max_connections.min(fits.max(1));
        self
    }
}

impl Config {
    /// How old one connection may become: not all of those that came together end together.
    pub(crate) fn age(&self) -> Option<Duration> {
        // Never more than what was said: that may be as much as there can be.
        Some(self.max_connection_age?.mul_f64(0.8 + fastrand::f64() / 5.0))
    }
}

impl TryFrom<&Args> for Config {
    type Error = ConfigError;

    /// Reads the files that the command line names.
    fn try_from(args: &Args) -> Result<Self, ConfigError> {
        let default = Self::default();
        let tls = args.tls_cert_file.clone().zip(args.tls_key_file.clone());
        let key_files = KeyFiles { tls: tls.filter(|_| args.tls), auth: args.auth_file.clone() };
        Ok(Self {
            keepalive: KeepaliveConfig {
                interval: args.keepalive_interval,
                timeout: args.keepalive_timeout,
            },
            drain_timeout: args.drain_timeout,
            park_timeout: args.park_timeout,
            shutdown_delay: args.shutdown_delay,
            max_connection_age: args.max_connection_age,
            max_connection_age_grace: args.max_connection_age_grace,
            workers: args
                .workers
                .and_then(|workers| NonZeroUsize::new(workers.into()))
                .unwrap_or(default.workers),
            max_connections: args
                .max_connections
                .map_or(default.max_connections, NonZeroUsize::get),
            max_calls: args.max_calls,
            metrics_names: args.metrics_names,
            access_log: args.access_log(),
            otlp: args.otlp()?,
            max_held: default.max_held,
            lane_memory: args.lane_memory.0,
            proxy_protocol: args.proxy_protocol.iter().copied().collect(),
            trusted_proxies: args.trusted_proxies.iter().copied().collect(),
            routing: Routing {
                domains: args.route_domain.clone(),
                default_name: args.default_name.clone(),
            },
            cors_origins: CorsOrigins::of(&args.cors_origin),
            peering: peering(args)?,
            keys: key_files.read(&default.keys)?,
            key_files,
            log: default.log,
        })
    }
}

/// What the hub does with others.
fn peering(args: &Args) -> Result<Peering, ConfigError> {
    let files = args.peer_tls_cert_file.as_ref().zip(args.peer_tls_key_file.as_ref());
    let files = files.zip(args.peer_tls_ca_file.as_ref());
    let tls = files.map(|((cert, key), ca)| PeerTls::from_files(cert, key, ca)).transpose()?;
    let peering = Peering {
        peers: args.peers.clone(),
        token_file: args.peer_token_file.clone(),
        tls,
        directory: directory(args)?,
        public_uri: args.public_uri.clone(),
    };
    // A mistake should be seen now.
    peering.token()?;
    Ok(peering)
}

fn directory(args: &Args) -> Result<Option<Directory>, ConfigError> {
    let Some((uri, address)) = args.directory.clone().zip(args.peer_address.clone()) else {
        return Ok(None);
    };
    let (cert, key) = (args.directory_tls_cert_file.clone(), args.directory_tls_key_file.clone());
    let identity = Identity::from_flags(cert, key);
    let trust = Trust::from_flags(args.directory_tls_ca_file.clone(), false);
    let client = || -> Result<TlsClient, TlsError> {
        let config = client_config_of(identity.as_ref(), &trust, &[b"h2"])?;
        let (trust, ca_flag) = (trust.clone(), "--directory-tls-ca-file");
        Ok(TlsClient { config, trust, server_name: None, ca_flag })
    };
    let tls = uri.tls.then(client).transpose()?;
    let directory = Directory { uri, address, tls, user_file: args.directory_user_file.clone() };
    directory.user()?;
    Ok(Some(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_came_together_do_not_go_together() {
        let max = Duration::from_secs(100);
        let config = Config { max_connection_age: Some(max), ..Config::default() };
        let ages: Vec<_> = (0..100).filter_map(|_| config.age()).collect();
        assert_eq!(ages.len(), 100);
        assert!(ages.iter().all(|age| (max * 4 / 5..=max).contains(age)), "{ages:?}");
        let (least, most) = (ages.iter().min().expect("some"), ages.iter().max().expect("some"));
        assert!(*most - *least > max / 20, "{least:?} to {most:?}");
        assert_eq!(Config::default().age(), None);
    }
}
