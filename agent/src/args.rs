//! The command line of `agent`, as typed.

mod upstream_tls;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use http::uri::Authority;
use tunnel::byte_size::ByteSize;
use tunnel::limits::{KEEPALIVE_ASKED, LABEL_MAX_BYTES, LANES_MAX, SESSIONS_MAX};
use tunnel::log::{LogConfig, LogFilter, LogFormat};
use tunnel::name::Name;
use tunnel::program::{without_secrets, without_serve};
use tunnel::proxy::ProxySetting;
use tunnel::registration::parse_label;
use tunnel::setting::Setting;
use tunnel::speaks::WebProtocol;

use self::upstream_tls::UpstreamTlsArgs;
use crate::fluentd::{Command, CommandError};
use crate::hub_headers::HubHeader;
use crate::hub_uri::HubUri;
use crate::limits::{LANE_MEMORY, SESSION_AGE_MIN};
use crate::upstream::UpstreamAddr;

/// Exposes a gRPC server behind NAT or a firewall at a hub, by name.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "agent",
    version,
    override_usage = "agent [serve] --name NAME [OPTIONS]\n       agent serve NAME [OPTIONS]"
)]
pub struct Args {
    /// After `serve`: the name to register, as in --name
    #[arg(value_name = "NAME")]
    pub positional_name: Option<Name>,

    /// The name to register: what clients send as metadata `name`
    #[arg(long, env = "AGENT_NAME", value_name = "NAME")]
    pub name: Option<Name>,

    /// The hub: ws://host:port/ws, or wss://… for TLS. May be repeated: where the first cannot be reached, the next is
    /// dialled, and so on; each dial after a session has ended begins with the first again
    #[arg(
        long = "hub-uri",
        env = "AGENT_HUB_URI",
        value_name = "URI",
        value_delimiter = ',',
        default_value = "ws://localhost:8080/ws"
    )]
    pub hub_uris: Vec<HubUri>,

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

    /// The server to expose: host:port, http://…, https://… or unix:/path [default: the built-in services]
    #[arg(long, env = "AGENT_UPSTREAM", value_name = "ADDR")]
    pub upstream: Option<UpstreamAddr>,

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

    /// Replaces :authority, for an upstream that routes by host
    #[arg(long, env = "AGENT_AUTHORITY", value_name = "HOST")]
    pub authority: Option<Authority>,

    /// What the upstream speaks itself beside gRPC: grpc-web, connect. The hub leaves such calls as they are, and makes
    /// gRPC of all others
    #[arg(long, env = "AGENT_UPSTREAM_SPEAKS", value_name = "PROTOCOLS", value_delimiter = ',')]
    pub upstream_speaks: Vec<WebProtocol>,

    /// Connections to the upstream at once, one for each caller; less where the system allows fewer open files. @FILE
    /// says it in a file that is read anew on SIGHUP
    #[arg(long, env = "AGENT_MAX_LANES", value_name = "N", default_value_t = Setting::Value(LANES_MAX))]
    pub max_lanes: Setting<NonZeroU32>,

    /// What lanes may have on their way from a far hub together, beyond 64 KiB each
    #[arg(long, env = "AGENT_LANE_MEMORY", value_name = "SIZE", default_value_t = ByteSize(LANE_MEMORY))]
    pub lane_memory: ByteSize,

    /// The process that the built-in fluentd service supervises, e.g. "fluentd -c fluent.conf"
    #[arg(long, env = "AGENT_FLUENTD_COMMAND", value_name = "COMMAND", value_parser = command, conflicts_with = "upstream")]
    pub fluentd_command: Option<Command>,

    /// text or json
    #[arg(long, env = "AGENT_LOG_FORMAT", value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which lines are logged: info, or warn,agent=debug; @FILE says it in a file that is read anew on SIGHUP
    /// [default: as RUST_LOG says, or info]
    #[arg(long, env = "AGENT_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<Setting<LogFilter>>,

    /// What the upstream shows, and is shown.
    #[command(flatten)]
    pub upstream_tls: UpstreamTlsArgs,
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
        let wrong = |kind, message| Err(Self::command().error(kind, message));
        if typed("positional_name") && !serve {
            // Or a slip such as `agent status` would register a name.
            let message = "a name alone is no command: say agent serve NAME, or agent --name NAME";
            return wrong(ErrorKind::UnknownArgument, message);
        }
        if typed("positional_name") && typed("name") {
            let message = "the name is given twice, as an argument and with --name";
            return wrong(ErrorKind::ArgumentConflict, message);
        }
        let args = Self::from_arg_matches(&matches)?;
        if args.name().is_none() {
            let message = "no name: give --name NAME, or set AGENT_NAME";
            return wrong(ErrorKind::MissingRequiredArgument, message);
        }
        if args.upstream_tls.is_said() && !args.upstream.as_ref().is_some_and(UpstreamAddr::is_tls)
        {
            let message = "--upstream-tls-… and --upstream-alpn are for an upstream over TLS: --upstream https://host:port";
            return wrong(ErrorKind::ArgumentConflict, message);
        }
        Ok(args)
    }

    /// The name to register. What is typed wins over the environment.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.positional_name.as_ref().or(self.name.as_ref())
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
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::from_line(line.iter().map(OsString::from))
    }

    #[test]
    fn the_name_is_a_flag_or_an_argument_of_serve() {
        for line in [&["agent", "--name", "a"][..], &["agent", "serve", "a"]] {
            let args = parse(line).expect("good usage");
            assert_eq!(args.name().map(Name::as_str), Some("a"));
        }
    }

    #[test]
    fn hubs_are_named_one_by_one_or_together() {
        for more in
            [&["--hub-uri", "ws://a", "--hub-uri", "wss://b"][..], &["--hub-uri", "ws://a,wss://b"]]
        {
            let args = parse(&[&["agent", "serve", "a"], more].concat()).expect("good usage");
            let uris: Vec<_> = args.hub_uris.iter().map(ToString::to_string).collect();
            assert_eq!(uris, ["ws://a/ws", "wss://b/ws"]);
        }
    }

    #[test]
    fn bad_usage_is_told() {
        for (line, word) in [
            (&["agent"][..], "--name"),
            (&["agent", "status"], "agent serve NAME"),
            (&["agent", "--name", "A"], "a-z"),
            (&["agent", "serve", "a", "--name", "b"], "given twice"),
            (&["agent", "serve", "a", "--hub-uri", "http://hub"], "ws://"),
            (&["agent", "serve", "a", "--hub-uri", "ws://a,http://b"], "ws://"),
            (&["agent", "serve", "a", "--keepalive-interval", "99ms"], "at least 100ms"),
            (&["agent", "serve", "a", "--keepalive-interval", "61m"], "at most 1h"),
            (&["agent", "serve", "a", "--max-session-age", "900ms"], "at least 1s"),
            (&["agent", "serve", "a", "--upstream", "50051"], "host:port"),
            (&["agent", "serve", "a", "--sessions", "0"], "1..=64"),
            (&["agent", "serve", "a", "--label", "zone"], "KEY=VALUE, and this has no `=`"),
            (&["agent", "serve", "a", "--label", "=eu"], "has no key"),
            (&["agent", "serve", "a", "--label", "zone=\u{fc}"], "plain ASCII"),
            (&["agent", "serve", "a", "--fluentd-command", "sh -c 'x"], "--fluentd-command"),
            (
                &["agent", "serve", "a", "--upstream", ":1", "--fluentd-command", "x"],
                "cannot be used with",
            ),
        ] {
            let error = parse(line).expect_err("bad usage").to_string();
            assert!(error.contains(word), "{line:?}: {error}");
        }
    }
}
