//! The flags that say what holds for TLS towards an upstream.

use std::path::PathBuf;

use clap::ArgAction;
use clap::builder::BoolishValueParser;
use rustls::pki_types::ServerName;
use tunnel::tls::{Identity, Trust};

use crate::config::UpstreamTls;

/// TLS towards an https upstream. What is said of the hub does not hold for it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options for an https upstream")]
pub struct UpstreamTlsArgs {
    /// CA to trust instead of the system's (PEM)
    #[arg(
        long = "upstream-tls-ca-file",
        env = "AGENT_UPSTREAM_TLS_CA_FILE",
        value_name = "FILE",
        id = "upstream_tls_ca_file"
    )]
    pub ca_file: Option<PathBuf>,

    /// Trust any certificate: the upstream may be anybody
    #[arg(long = "upstream-tls-insecure-skip-verify", env = "AGENT_UPSTREAM_TLS_INSECURE_SKIP_VERIFY", id = "upstream_tls_insecure_skip_verify", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub insecure_skip_verify: bool,

    /// Whom its certificate is for [default: the host of --upstream]
    #[arg(long = "upstream-tls-server-name", env = "AGENT_UPSTREAM_TLS_SERVER_NAME", value_name = "HOST", id = "upstream_tls_server_name", value_parser = server_name)]
    pub server_name: Option<ServerName<'static>>,

    /// Certificate to show an upstream that asks for one (chain, PEM)
    #[arg(
        long = "upstream-tls-cert-file",
        env = "AGENT_UPSTREAM_TLS_CERT_FILE",
        value_name = "FILE",
        id = "upstream_tls_cert_file",
        requires = "upstream_tls_key_file"
    )]
    pub cert_file: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(
        long = "upstream-tls-key-file",
        env = "AGENT_UPSTREAM_TLS_KEY_FILE",
        value_name = "FILE",
        id = "upstream_tls_key_file",
        requires = "upstream_tls_cert_file"
    )]
    pub key_file: Option<PathBuf>,

    /// Whether it is offered HTTP/2 by ALPN: on, or off for a server that knows nothing of that
    #[arg(long, env = "AGENT_UPSTREAM_ALPN", value_name = "on|off", default_value = "on", action = ArgAction::Set, value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    pub upstream_alpn: bool,
}

impl UpstreamTlsArgs {
    /// Whether anything was said that needs TLS.
    pub(super) fn is_said(&self) -> bool {
        let Self { ca_file, insecure_skip_verify, server_name, cert_file, upstream_alpn, .. } =
            self;
        let is_named = ca_file.is_some() || server_name.is_some() || cert_file.is_some();
        is_named || *insecure_skip_verify || !upstream_alpn
    }
}

impl From<UpstreamTlsArgs> for UpstreamTls {
    fn from(args: UpstreamTlsArgs) -> Self {
        Self {
            trust: Trust::from_flags(args.ca_file, args.insecure_skip_verify),
            identity: Identity::from_flags(args.cert_file, args.key_file),
            server_name: args.server_name,
            has_alpn: args.upstream_alpn,
        }
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| "it must be a host name or an address".to_owned())
}
