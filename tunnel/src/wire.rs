//! The wire contract in names: path, protocol, headers, control messages, close codes.

use std::mem::discriminant;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};

use crate::limits::STRANGERS_WORDS;

/// The path of the WebSocket upgrade on the hub's port.
pub const PATH: &str = "/ws";
/// The WebSocket subprotocol. Its number changes when old agents can no longer be served.
pub const SUBPROTOCOL: &str = "hub-tunnel.v2";
/// The path on which another hub asks for a WebSocket, at a port of its own.
pub const PEER_PATH: &str = "/peer";
/// The subprotocol between two hubs: the one that dials leads to its agents as an agent does to its upstream.
pub const PEER_SUBPROTOCOL: &str = "hub-peer.v1";
/// What every subprotocol of this family starts with: told apart from a stranger's in a refusal.
pub const SUBPROTOCOL_FAMILY: &str = "hub-tunnel.";

/// The metadata by which a client says whom it calls.
pub const NAME: &str = "name";
/// Why the hub answered in the agent's stead.
pub const HUB_REASON: &str = "hub-reason";
/// Headers that start so are the hub's own. It takes them off every call, so nobody can make them up.
pub const HUB_PREFIX: &str = "hub-";

/// The name to register, or several, with `;` between them. Then the headers about an upstream are such lists, too.
pub const HUB_NAME: &str = "hub-name";
/// The credential: of an agent on the upgrade, of a caller on a call.
pub const HUB_TOKEN: &str = "hub-token";
/// Random id of the agent process.
pub const HUB_INSTANCE: &str = "hub-instance";
/// Which of the agent's sessions this is, from 0. A session that is replaced while it is good, and its successor, have two.
pub const HUB_SLOT: &str = "hub-slot";
/// `key=value,…`, what the agent says about itself.
pub const HUB_LABELS: &str = "hub-labels";
/// `http` or `https`: what the upstream's own transport is.
pub const HUB_UPSTREAM_SCHEME: &str = "hub-upstream-scheme";
/// Replaces `:authority` on this session.
pub const HUB_AUTHORITY: &str = "hub-authority";
/// What the upstream speaks beside gRPC: `grpc-web`, `connect`, separated by commas. The hub leaves such calls as they are.
pub const HUB_UPSTREAM_SPEAKS: &str = "hub-upstream-speaks";
/// How many lanes with calls the agent takes at once, on all its sessions together.
pub const HUB_MAX_LANES: &str = "hub-max-lanes";
/// Milliseconds between two pings: of the agent, which it wants of both ends; in the answer, what the hub advises where the
/// agent has said nothing.
pub const HUB_KEEPALIVE_INTERVAL: &str = "hub-keepalive-interval";
/// The version of the agent program.
pub const HUB_AGENT_VERSION: &str = "hub-agent-version";
/// Ids of hubs, with `,` between them, at which the agent has sessions and wants no more, for it can go to others: such a hub
/// refuses with 421, before it does anything else.
pub const HUB_NOT_AT: &str = "hub-not-at";

/// Answer: the id of the new session.
pub const HUB_SESSION_ID: &str = "hub-session-id";
/// The id of the hub process: in an answer, and of a hub that asks another one.
pub const HUB_NODE_ID: &str = "hub-node-id";
/// Answer: how many sessions the hub advises.
pub const HUB_SESSIONS: &str = "hub-sessions";
/// Answer: how many hubs there are that share their names, this one among them.
pub const HUB_HUBS: &str = "hub-hubs";
/// Of a hub that dials another one: where agents reach it.
pub const HUB_PUBLIC_URI: &str = "hub-public-uri";

/// What is said of an upstream that speaks something else.
pub const NOT_HTTP2: &str = "the upstream does not speak HTTP/2";
/// What is said of one that says nothing.
pub const SILENT: &str = "the upstream sent no HTTP/2 SETTINGS in time";

/// What the two ends tell each other in text messages, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Control {
    /// The hub shows the session to callers from now on.
    Registered,
    /// No new lanes on this session: the agent dials a replacement at once, open lanes finish.
    Drain,
    /// Of the agent, where the hub drains: the session's replacement is registered, here or at another hub.
    Moved,
    /// Of the agent: whether an upstream of its takes connections.
    Upstream {
        /// It does.
        up: bool,
        /// Which of its names it is behind, from 0.
        #[serde(default)]
        nth: u16,
    },
    /// An upstream speaks no HTTP/2, of an agent that has others: it is as if it were not there.
    NotHttp2 {
        /// Which of the agent's names it is behind, from 0.
        nth: u16,
        /// It has said nothing in time.
        #[serde(default)]
        silent: bool,
    },
    /// Of the agent: how many lanes it takes from now on.
    MaxLanes {
        /// So many at once, on all its sessions together.
        max: u32,
    },
    /// Of the hub: which hubs there are. Apart, for each session has room for many messages, and this is rare.
    HubPeers(Box<HubPeers>),
    /// What another of these says, as text that many sessions share. Who hears it hears that one.
    #[serde(skip)]
    Shared(Arc<String>),
    /// A type that this version does not know. Ignored, so that newer peers may say more.
    #[serde(other)]
    Unknown,
}

/// The hubs that share their names, the one that says so among them. An agent with several sessions has them at two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubPeers {
    /// How many.
    pub count: u16,
    /// Where agents reach them, as far as they say so.
    #[serde(default)]
    pub uris: Vec<String>,
}

impl Control {
    /// Whether what this says does not matter any more once the other is said: it is about the same.
    #[must_use]
    pub fn is_replaced_by(&self, later: &Self) -> bool {
        let is_same_name = match (self, later) {
            (Self::Upstream { nth, .. }, Self::Upstream { nth: other, .. })
            | (Self::NotHttp2 { nth, .. }, Self::NotHttp2 { nth: other, .. }) => nth == other,
            _ => true,
        };
        is_same_name && discriminant(self) == discriminant(later)
    }

    /// Reads a text message. What is no JSON object with a `type` is unknown, too.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Unknown)
    }

    /// The text message.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Registered => r#"{"type":"registered"}"#.into(),
            Self::Drain => r#"{"type":"drain"}"#.into(),
            Self::Moved => r#"{"type":"moved"}"#.into(),
            Self::Upstream { up, nth: 0 } => format!(r#"{{"type":"upstream","up":{up}}}"#),
            Self::Upstream { up, nth } => {
                format!(r#"{{"type":"upstream","up":{up},"nth":{nth}}}"#)
            }
            Self::NotHttp2 { nth, silent } => {
                format!(r#"{{"type":"not-http2","nth":{nth},"silent":{silent}}}"#)
            }
            Self::MaxLanes { max } => format!(r#"{{"type":"max-lanes","max":{max}}}"#),
            Self::HubPeers(hubs) => {
                let HubPeers { count, uris } = &**hubs;
                serde_json::json!({"type": "hub-peers", "count": count, "uris": uris}).to_string()
            }
            Self::Shared(text) => text.to_string(),
            Self::Unknown => r#"{"type":"unknown"}"#.into(),
        }
    }

    /// The same, for many sessions: it is put into words once.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self::Shared(Arc::new(self.to_text()))
    }
}

/// Why a WebSocket was closed: its close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// 1000: nothing is left to do.
    Normal,
    /// 1001: the sender is going away. An agent dials again now.
    GoingAway,
    /// 1002: the peer broke the protocol.
    Protocol,
    /// 1008: the credential is no longer good.
    Policy,
    /// 4000: a newer session of the same instance and slot has taken its place.
    Replaced,
    /// 4001: the upstream does not speak HTTP/2.
    NotHttp2,
    /// Any other.
    Other(u16),
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        match code {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            1002 => Self::Protocol,
            1008 => Self::Policy,
            4000 => Self::Replaced,
            4001 => Self::NotHttp2,
            other => Self::Other(other),
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Normal => 1000,
            CloseCode::GoingAway => 1001,
            CloseCode::Protocol => 1002,
            CloseCode::Policy => 1008,
            CloseCode::Replaced => 4000,
            CloseCode::NotHttp2 => 4001,
            CloseCode::Other(other) => other,
        }
    }
}

/// Whether a head says that gRPC follows.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The code of gRPC's status for an answer that is none (gRPC, "HTTP to gRPC Status Code Mapping").
#[must_use]
pub fn code_of_http(status: StatusCode) -> i32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// What a stranger's field says, as far as that is shown to people: plain text, and so much of it.
#[must_use]
pub fn words(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.chars().take(STRANGERS_WORDS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_survive_the_wire_and_strangers_are_ignored() {
        let upstream = |up| Control::Upstream { up, nth: u16::from(up) };
        let not_http2 = Control::NotHttp2 { nth: 7, silent: true };
        let all = [Control::Drain, Control::Registered, Control::Moved];
        let lanes = [Control::MaxLanes { max: 0 }, Control::MaxLanes { max: u32::MAX }];
        let hubs = [vec![], vec!["ws://a/ws".to_owned(), "wss://b/\"".to_owned()]];
        let hubs = hubs.map(|uris| Control::HubPeers(Box::new(HubPeers { count: 7, uris })));
        for control in all
            .into_iter()
            .chain([upstream(true), upstream(false), not_http2])
            .chain(lanes)
            .chain(hubs)
        {
            assert_eq!(Control::from_text(&control.to_text()), control);
            assert_eq!(control.shared().to_text(), control.to_text());
        }
        assert_eq!(Control::from_text(r#"{"type":"drain","more":[1]}"#), Control::Drain);
        for stranger in ["", "drain", "{}", r#"{"type":7}"#, r#"{"type":"kick"}"#, "[]"] {
            assert_eq!(Control::from_text(stranger), Control::Unknown, "{stranger}");
        }
    }

    /// A queue of them is kept for each session.
    #[test]
    fn messages_are_small() {
        assert!(size_of::<Control>() <= 16, "{}", size_of::<Control>());
        let hubs = r#"{"type":"hub-peers","count":2}"#;
        let told = HubPeers { count: 2, uris: Vec::new() };
        assert_eq!(Control::from_text(hubs), Control::HubPeers(Box::new(told)));
    }

    #[test]
    fn only_what_is_about_the_same_is_replaced() {
        let upstream = |up, nth| Control::Upstream { up, nth };
        assert!(upstream(true, 1).is_replaced_by(&upstream(false, 1)));
        assert!(!upstream(true, 1).is_replaced_by(&upstream(true, 2)));
        assert!(!upstream(true, 1).is_replaced_by(&Control::NotHttp2 { nth: 1, silent: false }));
        assert!(Control::Drain.is_replaced_by(&Control::Drain));
        assert!(!Control::Drain.is_replaced_by(&Control::Moved));
    }

    #[test]
    fn close_codes_survive_the_wire() {
        for code in [1000, 1001, 1002, 1008, 4000, 4001, 4999] {
            assert_eq!(u16::from(CloseCode::from(code)), code);
        }
    }
}
