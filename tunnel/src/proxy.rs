//! The way to a hub out of a closed network: through an HTTP proxy (CONNECT, RFC 9110 9.3.6) or a SOCKS5 one (RFC 1928).

mod no_proxy;
mod tunnelling;

use std::env;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use self::no_proxy::is_excepted;
pub use self::tunnelling::ProxyError;

/// Which proxy leads to a hub, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// As the environment says: `HTTPS_PROXY`, otherwise `ALL_PROXY`, in capitals or not, unless `NO_PROXY` excepts the hub,
    /// or it is on this machine.
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This one, for every hub.
    Through(Proxy),
}

/// A proxy. What it is shown as has no password.
#[derive(Clone)]
pub struct Proxy {
    intercept: Intercept,
    /// As it was written.
    written: String,
}

/// A text is no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a proxy is http://[user:password@]host:port or socks5h://[user:password@]host:port, percent-encoded, or none"
)]
pub struct ProxySyntaxError;

/// What the environment says cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no http:// or socks5h:// URL; --proxy says another one, or none")]
pub struct EnvironmentError(pub &'static str);

/// Where the environment names a proxy; the first that says something counts.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// And what is reached without.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl ProxySetting {
    /// The proxy on the way to this host and port; `None`, where there is none.
    ///
    /// # Errors
    /// The environment names one that cannot be used.
    pub fn towards(&self, host: &str, port: u16) -> Result<Option<Proxy>, EnvironmentError> {
        match self {
            Self::None => Ok(None),
            Self::Through(proxy) => Ok(Some(proxy.clone())),
            Self::Environment => in_environment(host, port, |name| env::var(name).ok()),
        }
    }
}

fn in_environment(
    host: &str,
    port: u16,
    var: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, EnvironmentError> {
    let said = |name: &&'static str| var(name).filter(|value| !value.trim().is_empty());
    let Some((name, proxy)) = PROXIES.iter().find_map(|name| Some((*name, said(name)?))) else {
        return Ok(None);
    };
    let exceptions = EXCEPTIONS.iter().find_map(said).unwrap_or_default();
    if is_excepted(&exceptions, host, port) {
        return Ok(None);
    }
    proxy.trim().parse().map(Some).map_err(|ProxySyntaxError| EnvironmentError(name))
}

impl FromStr for ProxySetting {
    type Err = ProxySyntaxError;

    fn from_str(text: &str) -> Result<Self, ProxySyntaxError> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Through) }
    }
}

impl FromStr for Proxy {
    type Err = ProxySyntaxError;

    fn from_str(text: &str) -> Result<Self, ProxySyntaxError> {
        let with_scheme = if text.contains("://") { text.into() } else { format!("http://{text}") };
        if !is_strict(&with_scheme) {
            return Err(ProxySyntaxError);
        }
        let any = Uri::from_static("https://any");
        let intercept = Matcher::builder().all(with_scheme).build().intercept(&any);
        let intercept = intercept.ok_or(ProxySyntaxError)?;
        Ok(Self { intercept, written: text.to_owned() })
    }
}

/// Whether a URL says what it seems to: the library would take a `/`, `#` or `@` in a password for the end of the host, and a
/// port that is none for no port.
fn is_strict(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority().map(Authority::as_str) else { return false };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port =
        host.rsplit_once(':').filter(|(name, _)| !name.starts_with('[') || name.ends_with(']'));
    let is_known = matches!(uri.scheme_str(), Some("http" | "socks5" | "socks5h"));
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let is_plain = !url.contains('#') && url.matches('@').count() <= 1;
    is_known
        && is_bare
        && is_plain
        && uri.host().is_some_and(|host| !host.is_empty())
        && port.is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl Proxy {
    /// Whether it speaks SOCKS5; HTTP otherwise.
    fn is_socks(&self) -> bool {
        self.intercept.uri().scheme_str() != Some("http")
    }

    fn host(&self) -> &str {
        let host = self.intercept.uri().host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// As written, or where such proxies are by default.
    fn port(&self) -> u16 {
        let default = if self.is_socks() { 1080 } else { 80 };
        self.intercept.uri().port_u16().unwrap_or(default)
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Proxy {}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.intercept.uri().scheme_str().unwrap_or_default();
        let host = self.intercept.uri().host().unwrap_or_default();
        write!(f, "{scheme}://{host}:{}", self.port())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests;
