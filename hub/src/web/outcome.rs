//! How a call has ended, told by what came of it: gRPC's status, or what stands for one.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode;
use prost::Message as _;
use tokio::time::Instant;
use tonic::Code;
use tonic_types::pb;
use tunnel::wire::{code_of_http, is_grpc};

use super::calls::reset;
use crate::message::refusal::percent_encoded;
use crate::message::timeout;

pub(super) const GRPC_STATUS: &str = "grpc-status";
pub(super) const GRPC_MESSAGE: &str = "grpc-message";
pub(super) const GRPC_DETAILS: &str = "grpc-status-details-bin";

const STATUS_FIELDS: [&str; 3] = [GRPC_STATUS, GRPC_MESSAGE, GRPC_DETAILS];

/// Base64 as gRPC's callers and servers write it: with padding, or without (gRPC over HTTP/2, "Requests").
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A call's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) code: Code,
    pub(super) message: String,
    /// The bytes of a `google.rpc.Status`.
    details: Vec<u8>,
}

/// No call lasts for so long.
const FAR_OFF: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When a caller waits no longer, if it has said so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// By the head of a call that has just come.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(|value| timeout::grpc(value.as_bytes()));
        Self::after(timeout)
    }

    pub(super) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// When that is; far off, if it was not said.
    pub(super) fn at(self) -> Instant {
        self.0.unwrap_or_else(|| Instant::now() + FAR_OFF)
    }

    /// How long there is left, as gRPC says it; `None`, if it was not said.
    pub(super) fn left(self) -> Option<HeaderValue> {
        let left = self.0?.saturating_duration_since(Instant::now());
        let millis = left.as_millis();
        let text = if millis < 100_000_000 {
            format!("{millis}m")
        } else {
            format!("{}S", left.as_secs().min(99_999_999))
        };
        HeaderValue::try_from(text).ok()
    }

    fn has_passed(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }
}

/// One of an error's details.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Detail {
    /// The message's full name.
    pub(super) kind: String,
    pub(super) value: String,
}

impl Outcome {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// What trailers say, or a head that is all of an answer; `None`, if nothing.
    pub(super) fn told(fields: &HeaderMap) -> Option<Self> {
        let code = fields.get(GRPC_STATUS)?;
        let message = fields.get(GRPC_MESSAGE).map(|text| percent_decoded(text.as_bytes()));
        let details = fields.get(GRPC_DETAILS).and_then(|bytes| BASE64.decode(bytes).ok());
        Some(Self {
            code: Code::from_bytes(code.as_bytes()),
            message: message.unwrap_or_default(),
            details: details.unwrap_or_default(),
        })
    }

    /// What an answer means that is no gRPC (gRPC, "HTTP to gRPC Status Code Mapping").
    pub(super) fn of_http(status: StatusCode) -> Self {
        let code = Code::from(code_of_http(status));
        Self::new(code, format!("the server answered HTTP {}, and no gRPC", status.as_u16()))
    }

    /// What a stream means that has ended without a word (gRPC over HTTP/2, "Errors"). grpc-go 1.71 and later end a call at its
    /// deadline so, and gRPC's own callers look at their clocks.
    pub(super) fn of_error(error: &(dyn std::error::Error + 'static), deadline: Deadline) -> Self {
        let Some(reason) = reset(error) else {
            return Self::new(Code::Unavailable, "the connection was lost");
        };
        let code = match reason {
            Reason::REFUSED_STREAM => Code::Unavailable,
            Reason::CANCEL if deadline.has_passed() => {
                return Self::too_late();
            }
            Reason::CANCEL => Code::Cancelled,
            Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
            Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
            _ => Code::Internal,
        };
        Self::new(code, format!("the server reset the stream: {reason}"))
    }

    /// A call whose time is over before it has begun.
    pub(super) fn too_late() -> Self {
        Self::new(Code::DeadlineExceeded, "the deadline has passed")
    }

    /// What is missing at the end of a stream (gRPC over HTTP/2, "Responses").
    pub(super) fn missing() -> Self {
        Self::new(Code::Internal, "the server ended the call without a status")
    }

    /// As trailers.
    pub(super) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from(self.code as i32 as u16));
        // All that is said here is plain.
        if let Ok(message) = HeaderValue::from_str(&self.message) {
            trailers.insert(GRPC_MESSAGE, message);
        }
        trailers
    }

    /// Its details, one by one.
    pub(super) fn details(&self) -> Vec<Detail> {
        let status = pb::Status::decode(&self.details[..]).unwrap_or_default();
        let detail = |any: prost_types::Any| Detail {
            kind: any.type_url.rsplit('/').next().unwrap_or_default().to_owned(),
            value: BASE64.encode(any.value),
        };
        status.details.into_iter().map(detail).collect()
    }
}

/// Has the status in words that all callers can read: grpc-web 2.1 fails on a `%` that begins no code, which gRPC's libraries
/// take for itself.
pub(super) fn mend_message(fields: &mut HeaderMap) {
    let Some(message) = fields.get(GRPC_MESSAGE) else { return };
    let mended = percent_encoded(&percent_decoded(message.as_bytes()));
    if let Ok(mended) = HeaderValue::try_from(mended) {
        fields.insert(GRPC_MESSAGE, mended);
    }
}

/// Whether a field is about gRPC's status.
pub(super) fn is_status(name: &HeaderName) -> bool {
    STATUS_FIELDS.contains(&name.as_str())
}

/// Takes these off.
pub(super) fn take_status_off(fields: &mut HeaderMap) {
    for name in STATUS_FIELDS {
        fields.remove(name);
    }
}

/// What an answer's head says: how the call has ended, if it is nothing but that, or that it is no gRPC.
pub(super) fn told_by_head(status: StatusCode, headers: &HeaderMap) -> Option<Outcome> {
    let is_answer = status.is_success() && is_grpc(headers);
    Outcome::told(headers).or_else(|| (!is_answer).then(|| Outcome::of_http(status)))
}

/// `grpc-message` as its sender meant it; what is broken stays as it is (gRPC over HTTP/2, "Responses").
fn percent_decoded(text: &[u8]) -> String {
    percent_decode(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    use super::*;

    fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn trailers_tell() {
        let told =
            Outcome::told(&trailers(&[("grpc-status", "5"), ("grpc-message", "t%C3%BCr %")]));
        assert_eq!(told, Some(Outcome::new(Code::NotFound, "t\u{fc}r %")));
        assert_eq!(Outcome::told(&trailers(&[("grpc-message", "x")])), None);
        let odd = Outcome::told(&trailers(&[("grpc-status", "zero")])).expect("a status");
        assert_eq!(odd.code, Code::Unknown);
    }

    #[test]
    fn a_message_is_mended_for_those_who_read_it_strictly() {
        for (said, mended) in [("100% done", "100%25 done"), ("t%C3%BCr", "t%C3%BCr"), ("a", "a")] {
            let mut fields = trailers(&[("grpc-message", said)]);
            mend_message(&mut fields);
            assert_eq!(fields[GRPC_MESSAGE], mended);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_cancelled_when_its_time_is_over_was_too_late() {
        let deadline = Deadline::of(&trailers(&[("grpc-timeout", "200m")]));
        let cancelled = h2::Error::from(Reason::CANCEL);
        assert_eq!(Outcome::of_error(&cancelled, deadline).code, Code::Cancelled);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(Outcome::of_error(&cancelled, deadline).code, Code::DeadlineExceeded);
        assert_eq!(Outcome::of_error(&cancelled, Deadline(None)).code, Code::Cancelled);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_said_as_grpc_says_it() {
        for (timeout, said) in [(1, "1m"), (99_999_999, "99999999m"), (9_999_999_999, "9999999S")] {
            let left = Deadline::after(Some(Duration::from_millis(timeout))).left();
            assert_eq!(left.as_ref().map(HeaderValue::as_bytes), Some(said.as_bytes()));
        }
        assert_eq!(Deadline::after(None).left(), None);
    }

    #[test]
    fn details_come_with_their_kind() {
        let any = prost_types::Any { type_url: "type.test/a.B".into(), value: b"\x08\x01".into() };
        let status = pb::Status { code: 3, message: "no".into(), details: vec![any] };
        for engine in [STANDARD, STANDARD_NO_PAD] {
            let bytes = engine.encode(status.encode_to_vec());
            let mut fields = trailers(&[("grpc-status", "3")]);
            fields.insert(GRPC_DETAILS, HeaderValue::from_str(&bytes).expect("text"));
            let details = Outcome::told(&fields).expect("a status").details();
            assert_eq!(details, [Detail { kind: "a.B".into(), value: "CAE".into() }]);
        }
    }
}
