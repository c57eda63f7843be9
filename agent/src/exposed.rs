//! What an agent exposes under a name: an upstream, and how it is spoken to.

use std::fmt;

use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;
use tonic::service::Routes;
use tunnel::dial::TlsClient;
use tunnel::name::Name;
use tunnel::registration;
use tunnel::speaks::Speaks;
use tunnel::tls::{Identity, TlsError, Trust, client_config_of};

use crate::upstream::UpstreamAddr;

/// A name, and what is behind it.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// The name to register.
    pub name: Name,
    /// What answers its calls.
    pub upstream: Upstream,
    /// TLS towards an upstream over TLS.
    pub tls: UpstreamTls,
    /// Replaces `:authority` of calls.
    pub authority: Option<Authority>,
    /// What the upstream speaks beside gRPC; the hub leaves such calls as they are.
    pub speaks: Speaks,
}

/// What answers calls.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A server at this address: its bytes are relayed.
    Server(UpstreamAddr),
    /// Services in this process.
    Services(Routes),
}

/// What stands in logs for the services in this process.
pub(crate) const BUILT_IN: &str = "the built-in services";

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(addr) => addr.fmt(f),
            Self::Services(_) => f.write_str(BUILT_IN),
        }
    }
}

impl Upstream {
    /// Whether it is one and the same server.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Server(addr), Self::Server(same)) if addr == same)
    }

    /// What to try where it speaks no HTTP/2: to go on a sentence.
    pub(crate) fn hint(&self) -> String {
        let https = match self {
            Self::Server(addr) => addr.as_https(),
            Self::Services(_) => None,
        };
        https.map(|https| format!("; if it speaks TLS, say --upstream {https}")).unwrap_or_default()
    }
}

impl Exposed {
    /// An upstream with the defaults of the command line.
    #[must_use]
    pub fn new(name: Name, upstream: Upstream) -> Self {
        let (tls, speaks) = Default::default();
        Self { name, upstream, tls, authority: None, speaks }
    }

    /// What the hub is told of it.
    pub(crate) fn registration(&self) -> registration::Exposed {
        registration::Exposed {
            name: self.name.clone(),
            scheme: match &self.upstream {
                Upstream::Server(addr) => addr.scheme(),
                Upstream::Services(_) => Scheme::HTTP,
            },
            authority: self.authority.clone(),
            speaks: self.speaks,
        }
    }

    /// HTTP/2 over TLS towards the upstream, where it is spoken. Files that are named for nothing are read, too: a mistake in
    /// them should not wait for the day they are needed.
    pub(crate) fn tls_client(&self) -> Result<Option<TlsClient>, TlsError> {
        let is_tls = matches!(&self.upstream, Upstream::Server(addr) if addr.is_tls());
        let is_named = matches!(self.tls.trust, Trust::CaFile(_)) || self.tls.identity.is_some();
        (is_tls || is_named).then(|| self.tls.client()).transpose()
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

impl UpstreamTls {
    fn client(&self) -> Result<TlsClient, TlsError> {
        let alpn: &[&[u8]] = if self.has_alpn { &[b"h2"] } else { &[] };
        Ok(TlsClient {
            config: client_config_of(self.identity.as_ref(), &self.trust, alpn)?,
            trust: self.trust.clone(),
            server_name: self.server_name.clone(),
            ca_flag: "--upstream-tls-ca-file",
        })
    }
}
