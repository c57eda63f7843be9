//! Dials the hub: TCP, TLS, and the WebSocket that registers the session.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use httpdate::parse_http_date;
use tokio::sync::watch;
use tokio::time::timeout;
use tunnel::box_io::BoxIo;
use tunnel::dial::{
    HandshakeError, TokenError, TransportError, Upgraded, read_token, secured, sentence, to_hub,
    upgrade,
};
use tunnel::hub_uri::HubUri;
use tunnel::limits::{DIAL_TIMEOUT, KEEPALIVE_ASKED, SESSIONS_PAIRED};
use tunnel::registration::RegistrationError;
use tunnel::wire;
use tunnel::ws::KeepaliveConfig;

use crate::front::FrontAnswer;
use crate::hub_headers::HubHeadersError;
use crate::limits::{CONNECT_ELSEWHERE, RETRY_AFTER_MAX};
use crate::metrics::{DialResult, Metrics};
use crate::shared::Shared;

/// A WebSocket to the hub, upgraded.
pub(crate) struct Dialled {
    pub(crate) hub: HubUri,
    pub(crate) io: BoxIo,
    /// What was read of it already.
    pub(crate) read: Bytes,
    /// What the hub calls the session.
    pub(crate) session: String,
    /// How many sessions it advises.
    pub(crate) advised: u16,
    /// The hub's id.
    pub(crate) node: String,
    /// How many hubs there are that are one with it.
    pub(crate) hubs: u16,
    /// With the interval that was asked for, or that it advises.
    pub(crate) keepalive: KeepaliveConfig,
    /// How many lanes the agent takes: as the hub was told, until that changes.
    pub(crate) places: watch::Receiver<NonZeroU32>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("no answer within {}s", DIAL_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    #[error(transparent)]
    HubHeaders(#[from] HubHeadersError),
    /// The hub's own words.
    #[error("refused by the hub: {sentence} (HTTP {status})", status = status.as_u16())]
    Refused { status: StatusCode, sentence: String, retry_after: Option<Duration> },
    /// The same, to an agent of several names, which an older hub takes for a wrong one.
    #[error(
        "refused by the hub: {0} (HTTP 400); a hub that is older than this agent takes one name an agent"
    )]
    OneName(String),
    /// It was asked to refuse then.
    #[error("the agent has sessions with this hub already")]
    NotWanted,
    /// Somebody else's.
    #[error("{answer}")]
    Front { answer: FrontAnswer, retry_after: Option<Duration> },
    #[error("it does not answer as a hub: {0}")]
    Handshake(HandshakeError),
}

/// So a hub's refusal of a name begins, of all versions: `;` in one is what separates several.
const BAD_NAME: &str = "bad name: ";

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It may pass by itself.
    Soon,
    /// The hub said when.
    After(Duration),
    /// At once, for there are other hubs.
    Elsewhere,
    /// The hub is older or newer than this agent: one of the two is about to be upgraded.
    Version,
    /// Somebody has to change something first: the configuration here, or the hub's.
    Slowly,
}

impl DialError {
    fn count(&self, metrics: &Metrics) {
        let status = match self {
            Self::Refused { status, .. } => Some(*status),
            Self::OneName(_) => Some(StatusCode::BAD_REQUEST),
            Self::Front { answer, .. } => Some(answer.status()),
            _ => None,
        };
        if let Some(status) = status {
            metrics.refused(status);
        }
        metrics.dialled(match self {
            Self::Refused { .. } | Self::OneName(_) => DialResult::Refused,
            Self::Front { .. } => DialResult::Front,
            Self::NotWanted => DialResult::Elsewhere,
            Self::Transport(_) => DialResult::Unreachable,
            Self::Timeout => DialResult::Timeout,
            Self::Handshake(_) => DialResult::NoHub,
            Self::Token(_) | Self::Registration(_) | Self::HubHeaders(_) => DialResult::Files,
        });
    }

    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Refused { status, retry_after, .. } => match (status.as_u16(), retry_after) {
                (426, _) => Retry::Version,
                (400 | 401 | 403, _) => Retry::Slowly,
                (_, Some(after)) => Retry::After(*after),
                _ => Retry::Soon,
            },
            Self::OneName(_) => Retry::Version,
            Self::NotWanted => Retry::Elsewhere,
            Self::Front { answer, .. } if answer.is_lasting() => Retry::Slowly,
            Self::Front { retry_after: Some(after), .. } => Retry::After(*after),
            Self::Front { .. } => Retry::Soon,
            Self::Transport(TransportError::Proxy(error)) if error.is_lasting() => Retry::Slowly,
            Self::Transport(TransportError::ServerName(_) | TransportError::Environment(_))
            | Self::Token(_)
            | Self::Registration(_)
            | Self::HubHeaders(_) => Retry::Slowly,
            Self::Transport(_) | Self::Timeout | Self::Handshake(_) => Retry::Soon,
        }
    }
}

/// Registers one session, under this number, at a hub, unless that is one of those.
pub(crate) async fn dial(
    agent: &Shared,
    hub: &HubUri,
    number: u16,
    not_at: &[Arc<str>],
) -> Result<Dialled, DialError> {
    let connected = timeout(DIAL_TIMEOUT, connect(agent, hub, number, not_at)).await;
    let connected = connected.unwrap_or(Err(DialError::Timeout));
    match &connected {
        Ok(_) => agent.metrics.dialled(DialResult::Ok),
        Err(error) => error.count(&agent.metrics),
    }
    connected
}

async fn connect(
    agent: &Shared,
    hub: &HubUri,
    number: u16,
    not_at: &[Arc<str>],
) -> Result<Dialled, DialError> {
    let mut places = agent.max_lanes.subscribe();
    let max_lanes = *places.borrow_and_update();
    let mut registration = registration(agent, number, max_lanes)?;
    if !not_at.is_empty() {
        let value = HeaderValue::from_str(&not_at.join(",")).ok();
        registration.extend(value.map(|value| (HeaderName::from_static(wire::HUB_NOT_AT), value)));
    }
    let tls = agent.tls();
    let tls = tls.as_ref().filter(|_| hub.tls);
    let has_others = agent.hubs.uris().len() > 1;
    let limit = if has_others { CONNECT_ELSEWHERE } else { DIAL_TIMEOUT };
    let tcp = to_hub(&hub.host, hub.port, &agent.config.proxy, limit).await?;
    let stream = secured(tcp, &hub.host, tls).await?;
    let upgraded = upgrade(stream, hub.uri(), wire::SUBPROTOCOL, registration).await;
    let upgraded = upgraded.map_err(|error| match failed(error, hub) {
        DialError::Refused { status: StatusCode::BAD_REQUEST, sentence, .. }
            if !agent.config.others.is_empty() && sentence.starts_with(BAD_NAME) =>
        {
            DialError::OneName(sentence)
        }
        error => error,
    })?;
    let Upgraded { io, read, headers } = upgraded;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let advised = text(wire::HUB_SESSIONS).and_then(|value| value.parse().ok()).unwrap_or(1);
    let session = text(wire::HUB_SESSION_ID).unwrap_or_default().to_owned();
    let hubs = text(wire::HUB_HUBS).and_then(|value| value.parse().ok()).unwrap_or(1);
    let interval = text(wire::HUB_KEEPALIVE_INTERVAL).and_then(|value| value.parse().ok());
    Ok(Dialled {
        hub: hub.clone(),
        io,
        read,
        session,
        advised: advised.clamp(1, SESSIONS_PAIRED),
        node: text(wire::HUB_NODE_ID).unwrap_or_default().to_owned(),
        hubs,
        keepalive: agent.config.keepalive(interval.map(bearable)),
        places,
    })
}

/// An interval that a hub advises, in milliseconds, within what an agent may ask for itself.
fn bearable(millis: u64) -> Duration {
    let (least, most) = (*KEEPALIVE_ASKED.start(), *KEEPALIVE_ASKED.end());
    Duration::from_millis(millis).clamp(least, most)
}

/// What the hub is told of the agent, and of this session.
fn registration(
    Shared { config, .. }: &Shared,
    number: u16,
    max_lanes: NonZeroU32,
) -> Result<HeaderMap, DialError> {
    let mut headers = config.hub_headers.read()?;
    config.registration(number, max_lanes).write_to(&mut headers)?;
    if let Some(path) = &config.token_file {
        headers.insert(wire::HUB_TOKEN, read_token(path)?);
    }
    Ok(headers)
}

fn failed(error: HandshakeError, hub: &HubUri) -> DialError {
    match error {
        HandshakeError::Refused(response) => match FrontAnswer::of(&response, hub) {
            Some(answer) => {
                let retry_after = retry_after(response.headers(), SystemTime::now());
                DialError::Front { answer, retry_after }
            }
            None => refused(&response),
        },
        HandshakeError::Io(error) => TransportError::Connect(error).into(),
        other => DialError::Handshake(other),
    }
}

fn refused(response: &Response<Vec<u8>>) -> DialError {
    if response.status() == StatusCode::MISDIRECTED_REQUEST {
        return DialError::NotWanted;
    }
    DialError::Refused {
        status: response.status(),
        sentence: sentence(response),
        retry_after: retry_after(response.headers(), SystemTime::now()),
    }
}

/// How long to wait, as seconds or as a date (RFC 9110 10.2.3). A date counts from that of the answer, if it has one: an
/// agent's own clock may be wrong.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let after = text(RETRY_AFTER)?;
    let wait = match after.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = parse_http_date(after).ok()?;
            let now = text(DATE).and_then(|date| parse_http_date(date).ok()).unwrap_or(now);
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(status: u16, retry_after: Option<&str>) -> Retry {
        let mut response = Response::new(b"why\nmore".to_vec());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        if let Some(seconds) = retry_after {
            let seconds = HeaderValue::from_str(seconds).expect("a header value");
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        let error = refused(&response);
        assert_eq!(error.to_string(), format!("refused by the hub: why (HTTP {status})"));
        error.retry()
    }

    #[test]
    fn refusals_are_sorted_by_who_can_mend_them() {
        assert_eq!(retry(426, Some("1")), Retry::Version);
        for fatal in [400, 401, 403] {
            assert_eq!(retry(fatal, Some("1")), Retry::Slowly);
        }
        assert_eq!(retry(409, None), Retry::Soon);
        assert_eq!(retry(502, None), Retry::Soon);
        assert_eq!(retry(503, Some("7")), Retry::After(Duration::from_secs(7)));
        assert_eq!(retry(429, Some("86400")), Retry::After(RETRY_AFTER_MAX));
        assert_eq!(retry(503, Some("soon")), Retry::Soon);
    }

    #[test]
    fn a_retry_may_be_after_a_date() {
        let now = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let after = |date: Option<&str>, retry: &str| {
            let mut headers = HeaderMap::new();
            let value = |text| HeaderValue::from_str(text).expect("a header value");
            headers.insert(RETRY_AFTER, value(retry));
            headers.extend(date.map(|date| (DATE, value(date))));
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        let minute = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(after(None, minute), Some(30));
        assert_eq!(after(None, "Sunday, 06-Nov-94 08:50:07 GMT"), Some(30));
        assert_eq!(after(None, "Sun, 06 Nov 1994 08:49:36 GMT"), Some(0), "it is past");
        assert_eq!(after(None, "Fri, 06 Nov 2026 08:49:37 GMT"), Some(RETRY_AFTER_MAX.as_secs()));
        assert_eq!(after(Some("Sun, 06 Nov 1994 08:50:00 GMT"), minute), Some(7), "a wrong clock");
        assert_eq!(after(Some("today"), minute), Some(30));
        assert_eq!(after(None, "06 Nov 1994"), None);
        assert_eq!(after(None, " 7 "), Some(7));
    }

    #[test]
    fn what_a_hub_advises_is_bearable() {
        for (millis, bears) in [(0, 100), (100, 100), (60_000, 60_000), (u64::MAX, 3_600_000)] {
            assert_eq!(bearable(millis), Duration::from_millis(bears));
        }
    }
}
