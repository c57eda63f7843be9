//! Where a call goes, from its head alone: no I/O, no clock.

use std::time::Duration;

use http2::fields::{Field, Fields};
use tunnel::name::Name;
use tunnel::wire;

use crate::config::routing::Routing;
use crate::message::form::AnswerForm;
use crate::message::refusal::{BadName, Refusal};
use crate::message::timeout;
use crate::observe::trace::Trace;
use crate::services;

/// Where a call goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the agent of this name.
    Agent(Name),
    /// To the hub's own services.
    Own,
    /// To whoever registers agents: it is a WebSocket (RFC 8441).
    Session,
}

/// What the hub wants to know of a call's head, found in one go; of a field that comes several times, the first.
#[derive(Debug, Default)]
pub(crate) struct Head<'h> {
    method: Option<&'h [u8]>,
    protocol: Option<&'h [u8]>,
    target: Option<&'h [u8]>,
    content_type: Option<&'h [u8]>,
    token: Option<&'h [u8]>,
    name: Option<&'h [u8]>,
    authority: Option<&'h [u8]>,
    timeout: Option<&'h [u8]>,
    timeout_ms: Option<&'h [u8]>,
    traceparent: Option<&'h [u8]>,
    /// The version of Connect's protocol.
    connect: Option<&'h [u8]>,
    is_named_twice: bool,
    is_traced_twice: bool,
    /// What a browser says of a page's requests, and of what it asks before one.
    origin: Option<&'h [u8]>,
    preflight: Option<&'h [u8]>,
}

impl<'h> Head<'h> {
    pub(crate) fn of(fields: &'h Fields) -> Self {
        let mut head = Self::default();
        for Field { name, value, .. } in fields.iter() {
            let place = match name {
                b":method" => &mut head.method,
                b":protocol" => &mut head.protocol,
                b":path" => &mut head.target,
                b":authority" | b"host" => &mut head.authority,
                b"origin" => &mut head.origin,
                b"access-control-request-method" => &mut head.preflight,
                b"content-type" => &mut head.content_type,
                b"grpc-timeout" => &mut head.timeout,
                b"traceparent" => {
                    head.is_traced_twice = head.traceparent.is_some();
                    &mut head.traceparent
                }
                b"connect-timeout-ms" => &mut head.timeout_ms,
                b"connect-protocol-version" => &mut head.connect,
                _ if name == wire::HUB_TOKEN.as_bytes() => &mut head.token,
                _ if name == wire::NAME.as_bytes() => {
                    head.is_named_twice = head.name.is_some();
                    &mut head.name
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        head
    }

    /// What the client shows for a token.
    pub(crate) fn token(&self) -> Option<&'h [u8]> {
        self.token
    }

    /// How long the client waits, from the beginning of the call.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let grpc = self.timeout.and_then(timeout::grpc);
        grpc.or_else(|| self.timeout_ms.and_then(timeout::connect))
    }

    /// What the call belongs to. Who says two things has said nothing (W3C Trace Context 3.2).
    pub(crate) fn trace(&self) -> Option<Trace> {
        self.traceparent.filter(|_| !self.is_traced_twice).and_then(Trace::of)
    }

    /// Chooses by `name`: with it to an agent, whatever the path. Without it by the host, by the server name that TLS was asked
    /// for, or to the hub itself; and to a default where it is not the hub that is meant.
    pub(crate) fn route(&self, routing: &Routing, sni: Option<&str>) -> Result<Route, Refusal> {
        if self.method == Some(b"CONNECT") {
            let is_session = self.protocol == Some(b"websocket") && self.path() == wire::PATH;
            return if is_session { Ok(Route::Session) } else { Err(Refusal::Connect) };
        }
        match self.name {
            None => self.route_unnamed(routing, sni),
            Some(_) if self.is_named_twice => Err(Refusal::BadName(BadName::Repeated)),
            Some(name) => {
                let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii());
                let name = name.ok_or(Refusal::BadName(BadName::Bytes))?;
                name.parse()
                    .map(Route::Agent)
                    .map_err(|error| Refusal::BadName(BadName::Invalid(error)))
            }
        }
    }

    fn route_unnamed(&self, routing: &Routing, sni: Option<&str>) -> Result<Route, Refusal> {
        let hosts = [self.authority, sni.map(str::as_bytes)];
        if let Some(name) = hosts.into_iter().flatten().find_map(|host| routing.by_host(host)) {
            return name
                .map(Route::Agent)
                .map_err(|error| Refusal::BadName(BadName::Invalid(error)));
        }
        match &routing.default_name {
            Some(name) if !services::is_hubs_alone(self.path()) => Ok(Route::Agent(name.clone())),
            _ if services::is_own(self.path()) => Ok(Route::Own),
            _ => Err(Refusal::NoName),
        }
    }

    /// Whether a page's browser asks for it.
    pub(crate) fn is_of_page(&self) -> bool {
        self.origin.is_some()
    }

    /// Whether it is what a browser asks before a page's request; one with a `name` is asked of that server.
    pub(crate) fn is_preflight(&self) -> bool {
        self.method == Some(b"OPTIONS")
            && self.is_of_page()
            && self.preflight.is_some()
            && self.name.is_none()
    }

    /// The path, without its query.
    pub(crate) fn path(&self) -> &'h str {
        let target = self.target.and_then(|target| std::str::from_utf8(target).ok());
        target.unwrap_or_default().split('?').next().unwrap_or_default()
    }

    /// What kind of answer the client can read.
    pub(crate) fn answer_form(&self) -> AnswerForm {
        let [method, target, kind] =
            [self.method, self.target, self.content_type].map(Option::unwrap_or_default);
        AnswerForm::of(method, target, kind, self.connect.is_some())
    }
}

#[cfg(test)]
mod tests {
    use http2::fields::Indexing;
    use tunnel::name::NameError;

    use super::*;

    fn list(fields: &[(&str, &[u8])]) -> Fields {
        let mut list = Fields::new();
        for (name, value) in fields {
            list.push(name.as_bytes(), value, Indexing::Without);
        }
        list
    }

    fn to(path: &str, names: &[&[u8]]) -> Result<Route, Refusal> {
        let names = names.iter().map(|name| ("name", *name));
        let fields: Vec<_> = [(":method", &b"POST"[..]), (":path", path.as_bytes())]
            .into_iter()
            .chain(names)
            .collect();
        Head::of(&list(&fields)).route(&Routing::default(), None)
    }

    #[test]
    fn timeouts() {
        let of = |text: &str| Head::of(&list(&[("grpc-timeout", text.as_bytes())])).timeout();
        for (text, millis) in [("1H", 3_600_000), ("2M", 120_000), ("30S", 30_000), ("5m", 5)] {
            assert_eq!(of(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(of("99999999n"), Some(Duration::from_nanos(99_999_999)));
        let connect =
            |text: &str| Head::of(&list(&[("connect-timeout-ms", text.as_bytes())])).timeout();
        assert_eq!(connect("1500"), Some(Duration::from_millis(1500)));
        assert_eq!((connect("1s"), connect("12345678901")), (None, None));
        for text in ["", "S", "1", "1s", "123456789S", "+1S", "1.5S"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn routes() {
        let agent = Route::Agent("testserver".parse().expect("a name"));
        let bad = |why| Err(Refusal::BadName(why));
        assert_eq!(to("/hub.v1.Hub/ListClients", &[]), Ok(Route::Own));
        assert_eq!(to("/hub.v1.Hub/ListClients?a=/", &[]), Ok(Route::Own));
        assert_eq!(to("/grpc.health.v1.Health/Check", &[]), Ok(Route::Own));
        assert_eq!(to("/hub.v1.Hub/ListClients", &[b"testserver"]), Ok(agent));
        assert_eq!(to("/my.Service/Method", &[]), Err(Refusal::NoName));
        assert_eq!(to("/", &[]), Err(Refusal::NoName));
        assert_eq!(to("/x", &[b"a", b"a"]), bad(BadName::Repeated));
        assert_eq!(to("/x", &[b""]), bad(BadName::Invalid(NameError::Empty)));
        assert_eq!(to("/x", &["tür".as_bytes()]), bad(BadName::Bytes));
        assert_eq!(
            Head::of(&list(&[(":method", b"CONNECT")])).route(&Routing::default(), None),
            Err(Refusal::Connect)
        );
    }
}
