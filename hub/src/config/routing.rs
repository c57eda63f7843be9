//! How a call gets a name that says none: by its host, or the one that is there for such calls.

use std::fmt;
use std::str::FromStr;

use tunnel::name::{Name, NameError};

/// What stands in for the metadata `name`, which always wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Below these, a host says the name.
    pub domains: Vec<Domain>,
    /// Whose are calls that have none, and do not ask for the hub itself.
    pub default_name: Option<Name>,
}

impl Routing {
    /// The name that a host says, with or without a port; `None` where it is below none of the domains.
    pub(crate) fn by_host(&self, host: &[u8]) -> Option<Result<Name, NameError>> {
        if self.domains.is_empty() {
            return None;
        }
        let host = std::str::from_utf8(host).ok()?.to_ascii_lowercase();
        let host = host.rsplit_once(':').map_or(&*host, |(host, _)| host);
        let host = host.strip_suffix('.').unwrap_or(host);
        self.domains.iter().find_map(|domain| Some(domain.name_of(host)?.parse()))
    }
}

/// A domain whose subdomains are names: `hub.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(String);

/// A text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a domain is hub.example.com: no scheme, no port, no wildcard")]
pub struct DomainError;

impl Domain {
    fn name_of<'h>(&self, host: &'h str) -> Option<&'h str> {
        host.strip_suffix(&self.0)?.strip_suffix('.').filter(|name| !name.is_empty())
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let text = text.trim().to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if text.split('.').all(is_label) { Ok(Self(text)) } else { Err(DomainError) }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_below_a_domain_says_the_name() {
        let domains = ["hub.example.com", "HUB.test"].map(|domain| domain.parse().expect("one"));
        let routing = Routing { domains: domains.into(), default_name: None };
        for (host, name) in [
            ("testserver.hub.example.com", Some("testserver")),
            ("TestServer.Hub.Example.com:8443", Some("testserver")),
            ("testserver.hub.example.com.", Some("testserver")),
            ("a.b.hub.test", Some("a.b")),
            ("hub.example.com", None),
            (".hub.example.com", None),
            ("otherhub.example.com", None),
            ("testserver.example.com", None),
            ("[::1]:8080", None),
            ("", None),
        ] {
            let told = routing.by_host(host.as_bytes()).map(|name| name.expect("a valid name"));
            assert_eq!(told.as_ref().map(Name::as_str), name, "{host}");
        }
        assert!(matches!(routing.by_host(b"-.hub.test"), Some(Err(_))));
        assert_eq!(Routing::default().by_host(b"testserver.hub.test"), None);
    }

    #[test]
    fn what_is_no_domain() {
        for text in ["", "hub.example.com:8080", "*.hub.example.com", "https://hub", ".hub", "hub."]
        {
            assert_eq!(text.parse::<Domain>(), Err(DomainError), "{text}");
        }
    }
}
