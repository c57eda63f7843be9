//! Where a connection comes from, and where it is served.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use http2::fields::Fields;

use crate::context::hub::Hub;
use crate::message::forwarded::{FORWARDED, X_FORWARDED_FOR, behind};
use crate::stop::Stop;

/// Goes with each connection. To clone it for each call would be dear: [`Stop`] takes its locks for it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) hub: Arc<Hub>,
    pub(crate) peer: SocketAddr,
    pub(crate) worker: usize,
    /// The host that the client has asked TLS for.
    pub(crate) sni: Option<Arc<str>>,
    /// The worker's own.
    pub(crate) stop: Stop,
}

impl Origin {
    /// Whoever is behind a trusted proxy, by a request's fields.
    pub(crate) fn behind(&self, fields: &Fields) -> Option<IpAddr> {
        let values = |wanted: &'static str| {
            let all = fields.iter().filter(move |field| field.name == wanted.as_bytes());
            all.map(|field| field.value)
        };
        self.told(values(FORWARDED), values(X_FORWARDED_FOR))
    }

    /// The same by an HTTP/1.1 head.
    pub(crate) fn behind_headers(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let values =
            |wanted: &str| headers.get_all(wanted).into_iter().map(|value| value.as_bytes());
        self.told(values(FORWARDED), values(X_FORWARDED_FOR))
    }

    fn told<'v>(
        &self,
        forwarded: impl Iterator<Item = &'v [u8]>,
        x_forwarded_for: impl Iterator<Item = &'v [u8]>,
    ) -> Option<IpAddr> {
        behind(self.peer.ip(), &self.hub.config.trusted_proxies, forwarded, x_forwarded_for)
    }

    /// Who calls: the peer, or whoever is behind it, whose port is not known.
    pub(crate) fn caller(&self, behind: Option<IpAddr>) -> SocketAddr {
        behind.map_or(self.peer, |address| SocketAddr::new(address, 0))
    }

    /// The same for whoever is behind the peer.
    #[must_use]
    pub(crate) fn of(&self, behind: Option<IpAddr>) -> Self {
        Self { peer: self.caller(behind), ..self.clone() }
    }
}
