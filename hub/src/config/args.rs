//! The command line of `hub`, as typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser};
use tunnel::byte_size::ByteSize;
use tunnel::hub_uri::HubUri;
use tunnel::listen_addr::{ListenAddr, OptionalListen, optional_listen};
use tunnel::log::{LogConfig, LogFilter, LogFormat};
use tunnel::name::Name;
use tunnel::setting::Setting;

use crate::config::access_log::{AccessLogConfig, LogPlace};
use crate::config::cors::CorsOrigin;
use crate::config::directory::DirectoryUri;
use crate::config::networks::Network;
use crate::config::otlp::{OtlpConfig, OtlpConfigError, OtlpEndpoint};
use crate::config::otlp_headers::OtlpHeaders;
use crate::config::peer_addr::PeerAddr;
use crate::config::routing::Domain;
use crate::limits::{LANE_MEMORY, MAX_CLIENT_STREAMS, METRICS_NAMES, WORKERS_MAX};

/// Any gRPC client reaches any gRPC server behind NAT, by name, through this hub.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "hub",
    version,
    override_usage = "hub [serve] [OPTIONS]",
    after_help = "Durations are written 15s, 500ms, 2m."
)]
pub struct Args {
    /// Where gRPC clients and agents connect; `:8080` means every interface
    #[arg(long, env = "HUB_LISTEN", value_name = "ADDR", default_value = ":8080")]
    pub listen: ListenAddr,

    /// Where a page for operators, /metrics, /healthz, /readyz and /reload are served, or `none`
    #[arg(long, env = "HUB_ADMIN_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = optional_listen)]
    pub admin_listen: OptionalListen,

    /// Serve TLS (ALPN h2 and http/1.1); needs a certificate and its key
    #[arg(long, env = "HUB_TLS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub tls: bool,

    /// Certificate chain, PEM
    #[arg(long, env = "HUB_TLS_CERT_FILE", value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// Private key of the certificate, PEM
    #[arg(long, env = "HUB_TLS_KEY_FILE", value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// Who may register and who may call (TOML); without it everybody may
    #[arg(long, env = "HUB_AUTH_FILE", value_name = "FILE")]
    pub auth_file: Option<PathBuf>,

    /// Time between two WebSocket pings to an agent
    #[arg(long, env = "HUB_KEEPALIVE_INTERVAL", value_name = "DURATION", default_value = "15s", value_parser = positive)]
    pub keepalive_interval: Duration,

    /// An agent that says nothing for this long is gone
    #[arg(long, env = "HUB_KEEPALIVE_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = positive)]
    pub keepalive_timeout: Duration,

    /// How long running calls may take to end after SIGTERM
    #[arg(long, env = "HUB_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub drain_timeout: Duration,

    /// How long connections are still accepted after SIGTERM, while /readyz says draining already
    #[arg(long, env = "HUB_SHUTDOWN_DELAY", value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub shutdown_delay: Duration,

    /// How long a call waits for a name that went within the last minute to come back; 0s is not at all
    #[arg(long, env = "HUB_PARK_TIMEOUT", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub park_timeout: Duration,

    /// Ask clients and agents for a new connection when theirs is so old, or up to a fifth younger, so that they
    /// spread over new hubs [default: never]
    #[arg(long, env = "HUB_MAX_CONNECTION_AGE", value_name = "DURATION", value_parser = positive)]
    pub max_connection_age: Option<Duration>,

    /// How long calls on such a client's connection may still run [default: for as long as they like]
    #[arg(long, env = "HUB_MAX_CONNECTION_AGE_GRACE", value_name = "DURATION", value_parser = duration, requires = "max_connection_age")]
    pub max_connection_age_grace: Option<Duration>,

    /// Share the port with other hubs: a new one is started beside the old one, which is then told to stop (Linux)
    #[arg(long, env = "HUB_REUSE_PORT", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub reuse_port: bool,

    /// Networks of balancers that begin each connection with a PROXY header, version 1 or 2: 10.0.0.0/8,192.0.2.1
    #[arg(long, env = "HUB_PROXY_PROTOCOL", value_name = "NETWORKS", value_delimiter = ',')]
    pub proxy_protocol: Vec<Network>,

    /// Networks of proxies whose `Forwarded` or `X-Forwarded-For` is believed: 10.0.0.0/8,192.0.2.1
    #[arg(long, env = "HUB_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,

    /// Calls without `name` to NAME.DOMAIN, by :authority or by TLS's server name, go to NAME
    #[arg(long, env = "HUB_ROUTE_DOMAIN", value_name = "DOMAIN", value_delimiter = ',')]
    pub route_domain: Vec<Domain>,

    /// Calls without any name go to this one, but for those to hub.v1's services
    #[arg(long, env = "HUB_DEFAULT_NAME", value_name = "NAME")]
    pub default_name: Option<Name>,

    /// Pages of these origins may call from browsers, by gRPC-Web or Connect: `https://app.example.com`, or `*` for all
    #[arg(long, env = "HUB_CORS_ORIGIN", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origin: Vec<CorsOrigin>,

    /// Where other hubs connect, which share this one's names; wants --peer-token-file or --peer-tls-ca-file
    #[arg(long, env = "HUB_PEER_LISTEN", value_name = "ADDR")]
    pub peer_listen: Option<ListenAddr>,

    /// Where other hubs listen for this one: hub-1:8082,hub-2:8082; the hub itself may be among them
    #[arg(
        long,
        env = "HUB_PEERS",
        value_name = "ADDRS",
        value_delimiter = ',',
        requires = "peer_listen"
    )]
    pub peers: Vec<PeerAddr>,

    /// Where agents reach this hub from outside, wss://hub-1.example/ws: agents of other hubs are told, so that each is at two
    #[arg(long, env = "HUB_PUBLIC_URI", value_name = "URI", requires = "peer_listen")]
    pub public_uri: Option<HubUri>,

    /// An etcd that tells which other hubs there are: etcd://host:2379,host2:2379?prefix=/grpc-hub, or etcds:// for TLS
    #[arg(long, env = "HUB_DIRECTORY", value_name = "URI", requires_all = ["peer_address", "peer_listen"])]
    pub directory: Option<DirectoryUri>,

    /// Where other hubs reach this one's --peer-listen, as the directory is to tell them: hub-1:8082
    #[arg(long, env = "HUB_PEER_ADDRESS", value_name = "ADDR", requires = "directory")]
    pub peer_address: Option<PeerAddr>,

    /// A file that says user:password, for the directory
    #[arg(long, env = "HUB_DIRECTORY_USER_FILE", value_name = "FILE", requires = "directory")]
    pub directory_user_file: Option<PathBuf>,

    /// The authority of the directory's certificate, PEM [default: those that this machine trusts]
    #[arg(long, env = "HUB_DIRECTORY_TLS_CA_FILE", value_name = "FILE", requires = "directory")]
    pub directory_tls_ca_file: Option<PathBuf>,

    /// A certificate chain that the directory is shown, PEM
    #[arg(
        long,
        env = "HUB_DIRECTORY_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "directory_tls_key_file"
    )]
    pub directory_tls_cert_file: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(
        long,
        env = "HUB_DIRECTORY_TLS_KEY_FILE",
        value_name = "FILE",
        requires = "directory_tls_cert_file"
    )]
    pub directory_tls_key_file: Option<PathBuf>,

    /// A secret that all hubs share, by which they know each other
    #[arg(long, env = "HUB_PEER_TOKEN_FILE", value_name = "FILE")]
    pub peer_token_file: Option<PathBuf>,

    /// TLS between hubs: this one's certificate chain, PEM, which it shows those that dial it and those that it dials
    #[arg(long, env = "HUB_PEER_TLS_CERT_FILE", value_name = "FILE")]
    pub peer_tls_cert_file: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(long, env = "HUB_PEER_TLS_KEY_FILE", value_name = "FILE")]
    pub peer_tls_key_file: Option<PathBuf>,

    /// The authority of all hubs' certificates, PEM: nobody else's are believed
    #[arg(long, env = "HUB_PEER_TLS_CA_FILE", value_name = "FILE")]
    pub peer_tls_ca_file: Option<PathBuf>,

    /// Worker threads [default: one a core]
    #[arg(long, env = "HUB_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: Option<u16>,

    /// Connections at once, agents' and clients' together; more are hung up on
    /// [default: 65536, or what the system's limit of open files allows]
    #[arg(long, env = "HUB_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<NonZeroUsize>,

    /// Calls at once on one client connection; gRPC clients queue what goes beyond
    #[arg(long, env = "HUB_MAX_CALLS", value_name = "N", default_value_t = MAX_CLIENT_STREAMS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_calls: u32,

    /// Names that have series of their own among the metrics; all others are counted together, as "_other"
    #[arg(long, env = "HUB_METRICS_NAMES", value_name = "N", default_value_t = METRICS_NAMES)]
    pub metrics_names: usize,

    /// Writes a line of JSON for each call to this file, or - for standard output; opened anew at each reload (SIGHUP)
    #[arg(long, env = "HUB_ACCESS_LOG", value_name = "FILE")]
    pub access_log: Option<LogPlace>,

    /// Which share of the calls without errors the access log has; those with errors are always in it
    #[arg(long, env = "HUB_ACCESS_LOG_SAMPLE", value_name = "SHARE", default_value_t = 1.0, value_parser = share, requires = "access_log")]
    pub access_log_sample: f64,

    /// Sends spans of calls to this collector, by OTLP over gRPC: of those whose callers record them, as `traceparent` says
    #[arg(long, env = "HUB_OTLP_ENDPOINT", value_name = "URI")]
    pub otlp_endpoint: Option<OtlpEndpoint>,

    /// Whoever vouches for a collector at https://; at http://, spans go in clear text [default: whom this machine trusts]
    #[arg(long, env = "HUB_OTLP_TLS_CA_FILE", value_name = "FILE", requires = "otlp_endpoint")]
    pub otlp_tls_ca_file: Option<PathBuf>,

    /// Which share of the calls without a `traceparent` gets a span, from 0 to 1
    #[arg(long, env = "HUB_TRACE_SAMPLE", value_name = "SHARE", default_value_t = 0.0, value_parser = share, requires = "otlp_endpoint")]
    pub trace_sample: f64,

    /// What lanes to far agents may have on their way together, beyond 64 KiB each way
    #[arg(long, env = "HUB_LANE_MEMORY", value_name = "SIZE", default_value_t = ByteSize(LANE_MEMORY))]
    pub lane_memory: ByteSize,

    /// text or json
    #[arg(long, env = "HUB_LOG_FORMAT", value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which lines are logged: info, or warn,hub=debug; @FILE says it in a file that is read anew on SIGHUP
    /// [default: as RUST_LOG says, or info]
    #[arg(long, env = "HUB_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<Setting<LogFilter>>,
}

impl Args {
    /// What is logged.
    #[must_use]
    pub fn log(&self) -> LogConfig {
        LogConfig { format: self.log_format, filter: self.log_filter.clone() }
    }

    /// Where calls are written down, if at all.
    pub(super) fn access_log(&self) -> Option<AccessLogConfig> {
        let to = self.access_log.clone()?;
        Some(AccessLogConfig { to, sample: self.access_log_sample })
    }

    /// Where spans go, if anywhere.
    pub(super) fn otlp(&self) -> Result<Option<OtlpConfig>, OtlpConfigError> {
        let Some(endpoint) = self.otlp_endpoint.clone() else {
            return Ok(None);
        };
        let (ca_file, headers) = (self.otlp_tls_ca_file.clone(), OtlpHeaders::from_env()?);
        Ok(Some(OtlpConfig::new(endpoint, ca_file, headers, self.trace_sample)?))
    }

    /// What no single flag can tell: whether they fit together.
    ///
    /// # Errors
    /// Bad usage, as clap reports it.
    pub fn check(self) -> Result<Self, clap::Error> {
        if self.keepalive_timeout <= self.keepalive_interval {
            let message = "--keepalive-timeout must be longer than --keepalive-interval: \
                           an idle agent is heard of once an interval";
            return Err(Self::command().error(ErrorKind::ValueValidation, message));
        }
        let (cert, key) = (self.tls_cert_file.is_some(), self.tls_key_file.is_some());
        if self.tls && !(cert && key) {
            let message = "--tls needs --tls-cert-file and --tls-key-file";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
        }
        if !self.tls && (cert || key) {
            let message = "--tls-cert-file and --tls-key-file are for --tls, which is not given";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
        }
        let is_secret = |endpoint: &OtlpEndpoint| endpoint.uri().scheme_str() == Some("https");
        if self.otlp_tls_ca_file.is_some() && !self.otlp_endpoint.as_ref().is_some_and(is_secret) {
            let message = "--otlp-tls-ca-file is for a collector at https://";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        self.check_peers()?;
        Ok(self)
    }

    fn check_peers(&self) -> Result<(), clap::Error> {
        let missing = |message| Self::command().error(ErrorKind::MissingRequiredArgument, message);
        let tls = [&self.peer_tls_cert_file, &self.peer_tls_key_file, &self.peer_tls_ca_file];
        let files = tls.iter().filter(|file| file.is_some()).count();
        if files != 0 && files != tls.len() {
            return Err(missing(
                "--peer-tls-cert-file, --peer-tls-key-file and --peer-tls-ca-file come together",
            ));
        }
        if self.peer_listen.is_some() && files == 0 && self.peer_token_file.is_none() {
            return Err(missing(
                "--peer-listen needs --peer-token-file, or --peer-tls-ca-file and its like: \
                 whoever comes in there reaches every agent",
            ));
        }
        Ok(())
    }
}

/// Nothing that lasts for longer is waited for, and added to a moment it is still one.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > LONGEST {
        Err("it must be no longer than 100 years".into())
    } else {
        Ok(duration)
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("it must be longer than 0".into()) } else { Ok(duration) }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use tunnel::limits::{DRAIN_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};

    use super::*;
    use crate::limits::PARK_TIMEOUT;

    #[test]
    fn defaults_are_the_limits_tables() {
        let args = Args::parse_from(["hub"]);
        assert_eq!(args.keepalive_interval, KEEPALIVE_INTERVAL);
        assert_eq!(args.keepalive_timeout, KEEPALIVE_TIMEOUT);
        assert_eq!(args.drain_timeout, DRAIN_TIMEOUT);
        assert_eq!(args.park_timeout, PARK_TIMEOUT);
    }

    #[test]
    fn bad_usage_is_told() {
        for (line, word) in [
            (&["hub", "--tls"][..], "--tls-cert-file"),
            (&["hub", "--listen", "8080"], "host:port"),
            (&["hub", "--keepalive-interval", "0s"], "longer than 0"),
            (&["hub", "--keepalive-timeout", "15"], "15"),
            (&["hub", "--keepalive-timeout", "15s"], "longer than --keepalive-interval"),
            (&["hub", "--park-timeout", "1000y"], "100 years"),
            (&["hub", "--workers", "0"], "--workers"),
            (&["hub", "--workers", "1025"], "1..=1024"),
            (&["hub", "--log-format", "xml"], "text or json"),
            (&["hub", "--log-filter", "hub=debgu"], "warn,hub=debug"),
            (&["hub", "--lane-memory", "much"], "256MiB"),
            (&["hub", "--cors-origin", "app.test"], "https://app.example.com"),
            (&["hub", "--route-domain", "*.hub.test"], "no wildcard"),
            (&["hub", "--trusted-proxies", "nginx"], "10.0.0.0/8"),
            (&["hub", "--peers", "hub-1"], "host:port"),
            (&["hub", "--peer-listen", ":8082"], "--peer-token-file"),
            (&["hub", "--directory", "etcd://a"], "--peer-address"),
            (&["hub", "--directory", "consul://a"], "etcd://host:2379"),
            (&["hub", "--peer-tls-ca-file", "ca.pem"], "come together"),
        ] {
            let parsed = Args::try_parse_from(line).and_then(Args::check);
            let error = parsed.expect_err("bad usage").to_string();
            assert!(error.contains(word), "{line:?}: {error}");
        }
    }

    #[test]
    fn the_admin_listener_can_be_left_out() {
        assert_eq!(Args::parse_from(["hub", "--admin-listen", "none"]).admin_listen, None);
    }
}
