//! The command line of `agent`, as typed.

mod scopes;
mod upstream;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use tunnel::byte_size::ByteSize;
use tunnel::hub_uri::HubUri;
use tunnel::limits::{KEEPALIVE_ASKED, LABEL_MAX_BYTES, LANES_MAX, SESSIONS_MAX};
use tunnel::listen_addr::{OptionalListen, optional_listen};
use tunnel::log::{LogConfig, LogFilter, LogFormat};
use tunnel::name::Name;
use tunnel::program::{without_secrets, without_serve};
use tunnel::proxy::ProxySetting;
use tunnel::registration::{check_names, parse_label};
use tunnel::setting::Setting;

pub use self::upstream::Behind;
use self::upstream::{Says, UpstreamArgs};
use crate::fluentd::{Command, CommandError};
use crate::hub_headers::HubHeader;
use crate::limits::{LANE_MEMORY, SESSION_AGE_MIN};
use crate::upstream::UpstreamAddr;

/// Exposes a gRPC server behind NAT or a firewall at a hub, by name.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "agent",
    version,
    override_usage = "agent [serve] --name NAME [OPTIONS]\n       agent serve NAME [OPTIONS]\n       agent [OPTIONS] --name NAME [--upstream …] --name NAME [--upstream …]"
)]
pub struct Args {
    /// After `serve`: the name to register, as in --name
    #[arg(value_name = "NAME")]
    pub positional_name: Option<Name>,

    /// The name to register: what clients send as metadata `name`. May be repeated: what is said of an upstream then holds
    /// for the name before it, and what is said before the first name for all
    #[arg(long = "name", env = "AGENT_NAME", value_name = "NAME", value_delimiter = ',')]
    pub names: Vec<Name>,

    /// The hub: ws://host:port/ws, or wss://… for TLS. May be repeated: where the first cannot be reached, the next is
    /// dialled, and so on; a dial after a session that did well begins with the first again. Where hubs are one, the agent is at
    /// two of them
    #[arg(
        long = "hub-uri",
        env = "AGENT_HUB_URI",
        value_name = "URI",
        value_delimiter = ',',
        default_value = "ws://localhost:8080/ws"
    )]
    pub hub_uris: Vec<HubUri>,

    /// Dial no other hubs than these. A hub may tell of more that are one with it; token and headers go there, too
    #[arg(long, env = "AGENT_HUB_URI_ONLY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub hub_uri_only: bool,

    /// A header for whoever is in front of the hub, such as a gate; may be repeated. A secret is better in a file
    #[arg(long = "hub-header", value_name = "NAME: VALUE")]
    pub hub_headers: Vec<HubHeader>,

    /// File with such headers, one a line; read anew for each dial
    #[arg(long, env = "AGENT_HUB_HEADERS_FILE", value_name = "FILE")]
    pub hub_headers_file: Option<PathBuf>,

    /// The proxy on the way to the hub: http://USER:PASSWORD@HOST:PORT, socks5h://…, or none
    /// [default: as HTTPS_PROXY or ALL_PROXY say, and NO_PROXY]
    #[arg(long, env = "AGENT_PROXY", value_name = "URL", hide_env_values = true)]
    pub proxy: Option<ProxySetting>,

    #[command(flatten)]
    upstream: UpstreamArgs,

    /// File with the credential for the hub; read anew for each dial
    #[arg(long, env = "AGENT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// CA to trust instead of the system's (PEM), towards the hub
    #[arg(long, env = "AGENT_TLS_CA_FILE", value_name = "FILE")]
    pub tls_ca_file: Option<PathBuf>,

    /// Certificate to show a hub, or what is in front of it, that asks for one (chain, PEM)
    #[arg(long, env = "AGENT_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(long, env = "AGENT_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,

    /// Trust any certificate: the hub may be anybody
    #[arg(long, env = "AGENT_TLS_INSECURE_SKIP_VERIFY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub tls_insecure_skip_verify: bool,

    /// Sessions to hold [default: what the hub advises]
    #[arg(long, env = "AGENT_SESSIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(SESSIONS_MAX)))]
    pub sessions: Option<u16>,

    /// Time between two WebSocket pings, of agent and hub [default: what the hub advises]
    #[arg(long, env = "AGENT_KEEPALIVE_INTERVAL", value_name = "DURATION", value_parser = keepalive_interval)]
    pub keepalive_interval: Option<Duration>,

    /// How long running calls may take to end after SIGTERM
    #[arg(long, env = "AGENT_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = drain_timeout)]
    pub drain_timeout: Duration,

    /// Replace each session before it is so old, where something ends every connection after some time
    /// [default: found out]
    #[arg(long, env = "AGENT_MAX_SESSION_AGE", value_name = "DURATION", value_parser = session_age)]
    pub max_session_age: Option<Duration>,

    /// What to say about this agent in lists; may be repeated
    #[arg(long = "label", env = "AGENT_LABELS", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<(String, String)>,

    /// Connections to upstreams at once, one for each caller; less where the system allows fewer open files. Names share
    /// them alike. @FILE says it in a file that is read anew on SIGHUP
    #[arg(long, env = "AGENT_MAX_LANES", value_name = "N", default_value_t = Setting::Value(LANES_MAX))]
    pub max_lanes: Setting<NonZeroU32>,

    /// What lanes may have on their way from a far hub together, beyond 64 KiB each
    #[arg(long, env = "AGENT_LANE_MEMORY", value_name = "SIZE", default_value_t = ByteSize(LANE_MEMORY))]
    pub lane_memory: ByteSize,

    /// The process that the built-in fluentd service supervises, e.g. "fluentd -c fluent.conf"
    #[arg(long, env = "AGENT_FLUENTD_COMMAND", value_name = "COMMAND", value_parser = command)]
    pub fluentd_command: Option<Command>,

    /// Where /healthz, /readyz and /metrics are served, such as 127.0.0.1:9090, or `none`
    #[arg(long, env = "AGENT_ADMIN_LISTEN", value_name = "ADDR", default_value = "none", value_parser = optional_listen)]
    pub admin_listen: OptionalListen,

    /// text or json
    #[arg(long, env = "AGENT_LOG_FORMAT", value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which lines are logged: info, or warn,agent=debug; @FILE says it in a file that is read anew on SIGHUP
    /// [default: as RUST_LOG says, or info]
    #[arg(long, env = "AGENT_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<Setting<LogFilter>>,

    /// Each name, and what is behind it: known to [`Self::from_line`].
    #[arg(skip)]
    pub behind: Vec<Behind>,
}

impl Args {
    /// What is logged.
    #[must_use]
    pub fn log(&self) -> LogConfig {
        LogConfig { format: self.log_format, filter: self.log_filter.clone() }
    }

    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// Bad usage, help or version, as clap tells them.
    pub fn from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let (line, serve) = without_serve(line);
        let matches = Self::command().try_get_matches_from(line);
        let matches =
            matches.map_err(|error| without_secrets(error, &["--proxy", "--hub-header"]))?;
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let wrong = |kind, message: String| Err(Self::command().error(kind, message));
        if typed("positional_name") && !serve {
            // Or a slip such as `agent status` would register a name.
            let message = "a name alone is no command: say agent serve NAME, or agent --name NAME";
            return wrong(ErrorKind::UnknownArgument, message.to_owned());
        }
        if typed("positional_name") && typed("names") {
            let message = "the name is given twice, as an argument and with --name";
            return wrong(ErrorKind::ArgumentConflict, message.to_owned());
        }
        let mut args = Self::from_arg_matches(&matches)?;
        if let Some(name) = args.positional_name.take() {
            args.names = vec![name];
        }
        match args.upstream.behind(&args.names, &matches) {
            Ok(behind) => args.behind = behind,
            Err(error) => return wrong(ErrorKind::ArgumentConflict, error.to_string()),
        }
        match args.misused() {
            Some((kind, message)) => wrong(kind, message),
            None => Ok(args),
        }
    }

    /// What is wrong with it as a whole.
    fn misused(&self) -> Option<(ErrorKind, String)> {
        if self.names.is_empty() {
            let message = "no name: give --name NAME, or set AGENT_NAME".to_owned();
            return Some((ErrorKind::MissingRequiredArgument, message));
        }
        let names = check_names(&self.names).err().map(|error| error.to_string());
        let conflict = names.or_else(|| self.tls_misused());
        conflict
            .or_else(|| self.command_misused())
            .map(|message| (ErrorKind::ArgumentConflict, message))
    }

    fn tls_misused(&self) -> Option<String> {
        const ONLY: &str = "--upstream-tls-… and --upstream-alpn are for an upstream over TLS: --upstream https://host:port";
        let is_tls = |behind: &Behind| behind.upstream.as_ref().is_some_and(UpstreamAddr::is_tls);
        let (tls, other): (Vec<_>, Vec<_>) = self.behind.iter().partition(|behind| is_tls(behind));
        let says = |says| other.iter().find(|behind| behind.says_tls == Some(says));
        if let Some(Behind { name, .. }) = says(Says::OfIt) {
            return Some(format!("{ONLY}, and that of the name \"{name}\" is none"));
        }
        // Said of all, it is for those of them which it is for.
        says(Says::OfAll).filter(|_| tls.is_empty()).map(|_| ONLY.to_owned())
    }

    fn command_misused(&self) -> Option<String> {
        let is_for_nobody = self.behind.iter().all(|behind| behind.upstream.is_some());
        let misused = self.fluentd_command.is_some() && is_for_nobody;
        misused.then(|| {
            "--fluentd-command cannot be used with --upstream: it is for the built-in services"
                .to_owned()
        })
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    parse_label(text).map_err(|_| match text.split_once('=') {
        None => "a label is KEY=VALUE, and this has no `=`".to_owned(),
        Some((key, _)) if key.trim().is_empty() => {
            "a label is KEY=VALUE, and this has no key".into()
        }
        Some(_) => format!("a label is at most {LABEL_MAX_BYTES} plain ASCII characters"),
    })
}

fn keepalive_interval(text: &str) -> Result<Duration, String> {
    duration(text, &KEEPALIVE_ASKED)
}

fn drain_timeout(text: &str) -> Result<Duration, String> {
    duration(text, &(Duration::ZERO..=Duration::MAX))
}

fn session_age(text: &str) -> Result<Duration, String> {
    duration(text, &(SESSION_AGE_MIN..=Duration::MAX))
}

fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let bound = |bound: &Duration| humantime::format_duration(*bound).to_string();
    match duration {
        short if short < *range.start() => Err(format!("at least {}", bound(range.start()))),
        long if long > *range.end() => Err(format!("at most {}", bound(range.end()))),
        fits => Ok(fits),
    }
}

fn command(text: &str) -> Result<Command, CommandError> {
    text.parse()
}

#[cfg(test)]
mod tests;
