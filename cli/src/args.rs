//! The command line: what the user may type, already parsed into the types the program works with.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hub_proto::hub::v1::EventType;
use serde_json::json;
use tunnel::proxy::ProxySetting;

use crate::connect::HubUri;
use crate::input::Source;
use crate::limits::GRPC_TIMEOUT_MAX;
use crate::metadata::{Header, Target};
use crate::method_path::MethodPath;

/// Exit codes and where requests come from: what no single flag can say.
const AFTER_HELP: &str = "\
The request is JSON on standard input where something is piped in, or --data; `{}` otherwise. A
method that takes a stream of requests takes any number of JSON documents, and sends each as soon as
it has been read.

Exit code: 0, or the gRPC status code (1 to 16), or 64 for bad usage. The status stands on stderr.";

/// Lists the agents of a grpc-hub and calls any gRPC method of the servers behind them.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes, before it or after it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Options {
    /// The hub: http://HOST:PORT, or https://HOST:PORT for TLS
    #[arg(long, global = true, env = "HUB_URI", value_name = "URI")]
    #[arg(default_value = "http://localhost:8080")]
    pub(crate) hub: HubUri,
    /// The proxy on the way to the hub: http://USER:PASSWORD@HOST:PORT, socks5h://…, or none
    /// [default: as HTTPS_PROXY or ALL_PROXY say, and NO_PROXY]
    #[arg(long, global = true, env = "HUB_PROXY", value_name = "URL", hide_env_values = true)]
    pub(crate) proxy: Option<ProxySetting>,
    /// File with the caller's token
    #[arg(long, global = true, env = "HUB_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Trust only the certificate authority in this PEM file
    #[arg(long, global = true, env = "HUB_TLS_CA_FILE", value_name = "FILE")]
    pub(crate) tls_ca_file: Option<PathBuf>,
    /// Take any certificate: encrypted, but nobody knows by whom
    #[arg(long, global = true, env = "HUB_TLS_INSECURE_SKIP_VERIFY", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) tls_insecure_skip_verify: bool,
    /// Tables and indented JSON for people, or one compact JSON document a line for programs
    #[arg(short, long, global = true, env = "HUB_OUTPUT", value_name = "FORMAT")]
    #[arg(value_enum, default_value = "table")]
    pub(crate) output: Format,
    /// How long a call may take, e.g. 500ms or 1m [default: 15s; none for streams]
    #[arg(long, global = true, env = "HUB_TIMEOUT", value_name = "DURATION")]
    #[arg(value_parser = timeout)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) headers: Headers,
}

/// How responses are printed: for people, or for programs. (Comments on the variants would make clap
/// print the long form of `--help`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Metadata of a call. No global option, because clap lets a repeated one after the command replace
/// those before it; here both are kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Headers {
    /// Metadata to send; the value of a key that ends in -bin is base64. Repeatable
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE")]
    pub(crate) headers: Vec<Header>,
}

/// What a command that calls a method takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Request {
    /// The request as JSON, in place of standard input
    #[arg(short, long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) headers: Headers,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the hub itself
    #[command(subcommand)]
    Hub(HubCommand),
    /// Control the fluentd process beside an agent
    #[command(subcommand)]
    Fluentd(FluentdCommand),
    /// Call any method; the server's reflection tells how
    Call(Call),
    /// List the services of a server, or the methods of a service
    List(List),
    /// Show a service, method, message or enum as protobuf source
    Describe(Describe),
    /// Check the health of an agent's server and measure the round trip
    Ping(Ping),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// List the registered agents
    ListClients(Request),
    /// List the names with what they do now, those in question first
    Names(Request),
    /// List the hubs whose names can be called at this one
    Nodes(Request),
    /// Follow what happens at all hubs: registrations, and calls as they end
    Activity(Activity),
}

/// Which events are followed. Without any of these, the request says so.
#[derive(Debug, clap::Args)]
pub(crate) struct Activity {
    /// Only what is about names that match, `*` stands for any characters (repeatable)
    #[arg(long = "name", value_name = "PATTERN", conflicts_with = "data")]
    pub(crate) names: Vec<String>,
    /// Only events of this type, such as client-registered (repeatable)
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type, conflicts_with = "data")]
    pub(crate) types: Vec<EventType>,
    /// First what has happened since the event with this cursor, which -o json shows
    #[arg(long, value_name = "CURSOR", conflicts_with = "data")]
    pub(crate) after: Option<String>,
    #[command(flatten)]
    pub(crate) request: Request,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FluentdCommand {
    /// Start it
    Start(Fluentd),
    /// Stop it
    Stop(Fluentd),
    /// Stop it, then start it
    Restart(Fluentd),
    /// Tell how it is
    Status(Fluentd),
}

/// What each fluentd command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Fluentd {
    /// The agent's name
    pub(crate) name: Target,
    #[command(flatten)]
    pub(crate) request: Request,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Call {
    /// The agent's name, or `-` for the hub itself
    pub(crate) name: Target,
    /// SERVICE/METHOD
    #[arg(value_name = "METHOD")]
    pub(crate) method: MethodPath,
    #[command(flatten)]
    pub(crate) request: Request,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The agent's name, or `-` for the hub itself
    pub(crate) name: Target,
    /// The service whose methods to list
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) headers: Headers,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// The agent's name, or `-` for the hub itself
    pub(crate) name: Target,
    /// The full name, of a method also as SERVICE/METHOD
    pub(crate) symbol: String,
    #[command(flatten)]
    pub(crate) headers: Headers,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    /// The agent's name, or `-` for the hub itself
    pub(crate) name: Target,
    /// How many times
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Pause between two
    #[arg(short, long, default_value = "1s", value_parser = humantime::parse_duration)]
    #[arg(value_name = "DURATION")]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) headers: Headers,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("a call needs some time".into()),
        Ok(timeout) if timeout > GRPC_TIMEOUT_MAX => Err("at most 99999999s".into()),
        Ok(timeout) => Ok(timeout),
        Err(error) => Err(error.to_string()),
    }
}

/// As the events' lines have it, or in the manner of command lines.
fn event_type(text: &str) -> Result<EventType, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    match EventType::from_str_name(&name) {
        Some(EventType::Unspecified) | None => Err("there is no such type of event".into()),
        Some(kind) => Ok(kind),
    }
}

// === impl Activity ===

impl Activity {
    /// Where the request comes from, and the metadata that goes with it.
    pub(crate) fn into_parts(self) -> (Source, Headers) {
        let Self { names, types, after, request } = self;
        if names.is_empty() && types.is_empty() && after.is_none() {
            return request.into_parts();
        }
        let types: Vec<_> = types.iter().map(EventType::as_str_name).collect();
        let asked = json!({ "names": names, "types": types, "after": after });
        (Source::Data(asked.to_string()), request.headers)
    }
}

// === impl Request ===

impl Request {
    /// Where the requests come from, and the metadata that goes with them.
    pub(crate) fn into_parts(self) -> (Source, Headers) {
        (self.data.map_or(Source::Stdin, Source::Data), self.headers)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_stand_before_and_after_the_command() {
        let line = "client -H a:1 --hub http://one:1 ping x -H b:2 --hub http://two:2 -o json";
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(args.options.hub.to_string(), "http://two:2");
        assert_eq!(args.options.output, Format::Json);
        assert_eq!(args.options.headers.headers.len(), 1);
        let Command::Ping(ping) = args.command else {
            panic!("not a ping");
        };
        assert_eq!(ping.headers.headers.len(), 1);
    }

    #[test]
    fn a_timeout_is_one_that_grpc_can_say() {
        assert!(timeout("0s").is_err());
        assert!(timeout("4years").is_err());
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
    }
}
