//! What is in front of a hub answers in its stead: a proxy without its hub, a gate, a portal.

use std::fmt;

use http::header::{LOCATION, SERVER};
use http::{HeaderMap, Response, StatusCode, Uri};
use tunnel::wire::{self, words};

use tunnel::hub_uri::HubUri;

/// An answer to the upgrade that is not the hub's: it lacks the mark of all of those ([`wire::HUB_NODE_ID`]).
#[derive(Debug)]
pub(crate) struct FrontAnswer {
    status: StatusCode,
    /// Who says that it is its.
    server: Option<String>,
    advice: String,
}

impl FrontAnswer {
    /// If it is one.
    pub(crate) fn of<B>(response: &Response<B>, hub: &HubUri) -> Option<Self> {
        let (status, headers) = (response.status(), response.headers());
        if headers.contains_key(wire::HUB_NODE_ID) {
            return None;
        }
        Some(Self { status, server: words(headers, &SERVER), advice: advice(status, headers, hub) })
    }

    /// What it answered.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether somebody has to change something before it may be another.
    pub(crate) fn is_lasting(&self) -> bool {
        self.status.is_redirection() || matches!(self.status.as_u16(), 400 | 401 | 403)
    }
}

impl fmt::Display for FrontAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something in front of the hub")?;
        if let Some(server) = &self.server {
            write!(f, " (server: {server})")?;
        }
        write!(f, " answered HTTP {}: {}", self.status.as_u16(), self.advice)
    }
}

/// What to do about it.
fn advice(status: StatusCode, headers: &HeaderMap, hub: &HubUri) -> String {
    let path = hub.uri().path();
    match status.as_u16() {
        300..=399 => redirected(words(headers, &LOCATION).as_deref(), hub),
        400 if !hub.tls => {
            "does it want TLS? then say wss://; if not, it passes no WebSocket on".into()
        }
        413 | 414 | 431 => {
            "the request's head is too large for it: fewer or shorter --hub-header".into()
        }
        429 => "too many come at once; this one comes again".into(),
        401 | 403 | 407 => "it wants to know who is there first; --hub-header says it".into(),
        404 => format!("does it pass {path} on to the hub?"),
        500..=599 => "it does not reach the hub".into(),
        _ => "it passes no WebSocket on; it must leave Upgrade and Connection as they are".into(),
    }
}

/// Where the redirect leads to this path elsewhere, that may be the hub.
fn redirected(location: Option<&str>, hub: &HubUri) -> String {
    let path = hub.uri().path();
    let Some(location) = location else {
        return "a redirect to nowhere".into();
    };
    let elsewhere = location.parse::<Uri>().ok().filter(|uri| uri.path() == path);
    let (scheme, authority) = match &elsewhere {
        Some(uri) => (uri.scheme_str(), uri.authority()),
        None => (None, None),
    };
    let scheme = match scheme {
        Some("https" | "wss") => "wss",
        // But not from TLS to none: there the token would be for all to read.
        Some("http" | "ws") if !hub.tls => "ws",
        _ => return format!("it sends to {location}, where agents do not follow it"),
    };
    match authority {
        Some(authority) => format!("use --hub-uri {scheme}://{authority}{path}"),
        None => format!("it sends to {location}, where agents do not follow it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Option<FrontAnswer> {
        at("ws://hub.example/ws", status, headers)
    }

    fn at(hub: &str, status: u16, headers: &[(&str, &str)]) -> Option<FrontAnswer> {
        let response = Response::builder().status(status);
        let with = |response: http::response::Builder, (name, value): &(&str, &str)| {
            response.header(*name, *value)
        };
        let response = headers.iter().fold(response, with).body(()).expect("a response");
        FrontAnswer::of(&response, &hub.parse().expect("an address"))
    }

    #[test]
    fn who_answers_and_what_to_do() {
        let nginx = ("server", "nginx");
        for (status, headers, says, is_lasting) in [
            (502, &[nginx][..], "hub (server: nginx) answered HTTP 502: it does not reach", false),
            (403, &[], "something in front of the hub answered HTTP 403: it wants", true),
            (404, &[], "does it pass /ws on to the hub?", false),
            (200, &[], "leave Upgrade and Connection as they are", false),
            (
                308,
                &[("location", "https://hub.example/ws")],
                "use --hub-uri wss://hub.example/ws",
                true,
            ),
            (302, &[("location", "http://b:8080/ws?x=1")], "use --hub-uri ws://b:8080/ws", true),
            (
                302,
                &[("location", "https://login/?to=/ws")],
                "it sends to https://login/?to=/ws",
                true,
            ),
            (302, &[("location", "/ws")], "it sends to /ws, where", true),
            (301, &[], "a redirect to nowhere", true),
            (400, &[nginx], "does it want TLS?", true),
            (429, &[], "too many come at once", false),
            (431, &[], "--hub-header", false),
        ] {
            let answer = answer(status, headers).expect("a front's");
            assert!(answer.to_string().contains(says), "{answer}");
            assert_eq!(answer.is_lasting(), is_lasting, "{answer}");
        }
        assert!(answer(502, &[nginx, ("hub-node-id", "1")]).is_none());
        let clear = ("location", "http://hub.example/ws");
        let downgrade = at("wss://hub.example/ws", 302, &[clear]).expect("a front's").to_string();
        assert!(downgrade.contains("it sends to http://hub.example/ws, where"), "{downgrade}");
    }
}
