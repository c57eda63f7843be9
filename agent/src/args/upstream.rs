//! The flags about upstreams, and which of them hold for which name.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, ArgMatches};
use http::uri::Authority;
use rustls::pki_types::ServerName;
use tunnel::name::Name;
use tunnel::speaks::WebProtocol;
use tunnel::tls::{Identity, Trust};

use super::scopes::{ScopeError, Scopes};
use crate::exposed::UpstreamTls;
use crate::upstream::UpstreamAddr;

/// The flags, as typed, for all names together.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct UpstreamArgs {
    /// The server to expose: host:port, http://…, https://… or unix:/path [default: the built-in services]
    #[arg(long, env = "AGENT_UPSTREAM", value_name = "ADDR", value_delimiter = ',')]
    upstream: Vec<UpstreamAddr>,

    /// Replaces :authority, for an upstream that routes by host
    #[arg(long, env = "AGENT_AUTHORITY", value_name = "HOST")]
    authority: Vec<Authority>,

    /// What the upstream speaks itself beside gRPC: grpc-web, connect. The hub leaves such calls as they are, and makes
    /// gRPC of all others
    #[arg(long, env = "AGENT_UPSTREAM_SPEAKS", value_name = "PROTOCOLS", value_delimiter = ',')]
    upstream_speaks: Vec<WebProtocol>,

    #[command(flatten)]
    tls: UpstreamTlsArgs,
}

/// TLS towards an https upstream. What is said of the hub does not hold for it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options for an https upstream")]
struct UpstreamTlsArgs {
    /// CA to trust instead of the system's (PEM)
    #[arg(long, env = "AGENT_UPSTREAM_TLS_CA_FILE", value_name = "FILE")]
    upstream_tls_ca_file: Vec<PathBuf>,

    /// Trust any certificate: the upstream may be anybody
    #[arg(long, env = "AGENT_UPSTREAM_TLS_INSECURE_SKIP_VERIFY", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Append, value_parser = BoolishValueParser::new(), hide_possible_values = true, value_name = "BOOL", hide_default_value = true)]
    upstream_tls_insecure_skip_verify: Vec<bool>,

    /// Whom its certificate is for [default: the host of --upstream]
    #[arg(long, env = "AGENT_UPSTREAM_TLS_SERVER_NAME", value_name = "HOST", value_parser = server_name)]
    upstream_tls_server_name: Vec<ServerName<'static>>,

    /// Certificate to show an upstream that asks for one (chain, PEM)
    #[arg(
        long,
        env = "AGENT_UPSTREAM_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "upstream_tls_key_file"
    )]
    upstream_tls_cert_file: Vec<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(
        long,
        env = "AGENT_UPSTREAM_TLS_KEY_FILE",
        value_name = "FILE",
        requires = "upstream_tls_cert_file"
    )]
    upstream_tls_key_file: Vec<PathBuf>,

    /// Whether it is offered HTTP/2 by ALPN: on, or off for a server that knows nothing of that [default: on]
    #[arg(long, env = "AGENT_UPSTREAM_ALPN", value_name = "on|off", action = ArgAction::Append, value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    upstream_alpn: Vec<bool>,
}

/// Of how many names something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Of this one.
    OfIt,
    /// Of all.
    OfAll,
}

/// The arguments of these.
const UPSTREAM_TLS: [&str; 6] = [
    "upstream_tls_ca_file",
    "upstream_tls_insecure_skip_verify",
    "upstream_tls_server_name",
    "upstream_tls_cert_file",
    "upstream_tls_key_file",
    "upstream_alpn",
];

/// A name, and what was said of what is behind it.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The name.
    pub name: Name,
    /// The server; `None`: the built-in services.
    pub upstream: Option<UpstreamAddr>,
    /// Replaces `:authority`.
    pub authority: Option<Authority>,
    /// What it speaks beside gRPC.
    pub speaks: Vec<WebProtocol>,
    /// TLS towards it.
    pub tls: UpstreamTls,
    /// Whether anything was said of it that needs TLS, or of all.
    pub(super) says_tls: Option<Says>,
}

impl UpstreamArgs {
    /// What holds for each of the names.
    pub(super) fn behind(
        &self,
        names: &[Name],
        matches: &ArgMatches,
    ) -> Result<Vec<Behind>, ScopeError> {
        let scopes = Scopes::new(names, matches)?;
        let upstreams = scopes.one_each("upstream", &self.upstream)?;
        let authorities = scopes.one_each("authority", &self.authority)?;
        let speaks = scopes.some_each("upstream_speaks", &self.upstream_speaks);
        let tls = self.tls.of_each(&scopes)?;
        self.tls.check_pairs(&scopes)?;
        let tls = tls.into_iter().zip(self.tls.of_each(&scopes.own())?);
        let said = upstreams.into_iter().zip(authorities).zip(speaks).zip(tls);
        let behind =
            names.iter().zip(said).map(|(name, (((upstream, authority), speaks), tls))| {
                let (tls, own) = tls;
                let of_it = says_tls(&own).then_some(Says::OfIt);
                let says_tls = of_it.or_else(|| says_tls(&tls).then_some(Says::OfAll));
                Behind { name: name.clone(), upstream, authority, speaks, tls, says_tls }
            });
        Ok(behind.collect())
    }
}

impl UpstreamTlsArgs {
    /// A certificate and its key come together.
    fn check_pairs(&self, scopes: &Scopes<'_>) -> Result<(), ScopeError> {
        let [_, _, _, cert, key, _] = UPSTREAM_TLS;
        let certs = scopes.one_each(cert, &self.upstream_tls_cert_file)?;
        let keys = scopes.one_each(key, &self.upstream_tls_key_file)?;
        scopes.check_pairs("upstream-tls-cert-file", &certs, "upstream-tls-key-file", &keys)
    }

    /// What holds for each of the names.
    fn of_each(&self, scopes: &Scopes<'_>) -> Result<Vec<UpstreamTls>, ScopeError> {
        let [ca, insecure, host, cert, key, alpn] = UPSTREAM_TLS;
        let cas = scopes.one_each(ca, &self.upstream_tls_ca_file)?;
        let insecure = scopes.one_each(insecure, &self.upstream_tls_insecure_skip_verify)?;
        let hosts = scopes.one_each(host, &self.upstream_tls_server_name)?;
        let certs = scopes.one_each(cert, &self.upstream_tls_cert_file)?;
        let keys = scopes.one_each(key, &self.upstream_tls_key_file)?;
        let alpn = scopes.one_each(alpn, &self.upstream_alpn)?;
        let said = cas.into_iter().zip(insecure).zip(hosts).zip(certs).zip(keys).zip(alpn);
        let of_each =
            said.map(|(((((ca, insecure), server_name), cert), key), alpn)| UpstreamTls {
                trust: Trust::from_flags(ca, insecure.unwrap_or(false)),
                identity: Identity::from_flags(cert, key),
                server_name,
                has_alpn: alpn.unwrap_or(true),
            });
        Ok(of_each.collect())
    }
}

/// Whether it is anything that is not so anyhow.
fn says_tls(UpstreamTls { trust, identity, server_name, has_alpn }: &UpstreamTls) -> bool {
    *trust != Trust::System || identity.is_some() || server_name.is_some() || !has_alpn
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned())
        .map_err(|_| "it must be a host name or an address".to_owned())
}
