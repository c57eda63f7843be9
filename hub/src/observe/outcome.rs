//! How a call ended, as metrics, logs and activity say it.

use std::fmt;

use h2::Reason;
use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;

/// gRPC's status names, by their code.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Labels of what is no gRPC status: HTTP statuses by their first digit, then resets.
const OTHERS: [&str; 6] = ["HTTP_1XX", "HTTP_2XX", "HTTP_3XX", "HTTP_4XX", "HTTP_5XX", "RESET"];

/// What the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A gRPC status, by its code; codes that gRPC does not define count as UNKNOWN.
    Grpc(u16),
    /// The status of a response that was not gRPC's.
    Http(StatusCode),
    /// No status, but a reset of the stream, by either side.
    Reset(Reason),
}

impl Outcome {
    /// How many different labels there are: a bound for tables indexed by [`Self::index`].
    pub(crate) const LABELS: usize = GRPC_STATUSES.len() + OTHERS.len();

    /// All of them, by index.
    pub(crate) const LABELLED: [&str; Self::LABELS] = {
        let mut labels = [""; Self::LABELS];
        let mut index = 0;
        while index < Self::LABELS {
            let is_grpc = index < GRPC_STATUSES.len();
            labels[index] =
                if is_grpc { GRPC_STATUSES[index] } else { OTHERS[index - GRPC_STATUSES.len()] };
            index += 1;
        }
        labels
    };

    /// What a complete response says: `grpc-status` where there is one, else the HTTP status.
    pub(crate) fn of(status: StatusCode, grpc_status: Option<u16>) -> Self {
        grpc_status.map_or(Self::Http(status), Self::Grpc)
    }

    /// What a caller is told who is refused in this form.
    pub(crate) fn of_refusal(refusal: &Refusal, form: AnswerForm) -> Self {
        match form {
            AnswerForm::Http | AnswerForm::HttpHead => Self::Http(refusal.http_status()),
            _ => Self::Grpc(refusal.code() as u16),
        }
    }

    /// Whether OpenTelemetry takes it for an error of the server (conventions for RPC spans, "gRPC server errors"; for HTTP
    /// spans, "Status"). A reset is one: a call that is fine ends otherwise.
    pub(crate) fn is_servers_fault(self) -> bool {
        match self {
            // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            Self::Grpc(code) => matches!(grpc_index(code), 2 | 4 | 12 | 13 | 14 | 15),
            Self::Http(status) => status.as_u16() >= 500,
            Self::Reset(_) => true,
        }
    }

    /// Whether a server says so of a method that it does not have.
    pub(crate) fn is_of_no_method(self) -> bool {
        matches!(
            self,
            Self::Grpc(12) | Self::Http(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
        )
    }

    /// Which of the labels it has.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Grpc(code) => grpc_index(code),
            Self::Http(status) => {
                GRPC_STATUSES.len() + usize::from(status.as_u16() / 100).clamp(1, 5) - 1
            }
            Self::Reset(_) => Self::LABELS - 1,
        }
    }

    /// A label from a bounded set.
    pub(crate) fn label(self) -> &'static str {
        Self::LABELLED[self.index()]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grpc(code) => f.write_str(GRPC_STATUSES[grpc_index(*code)]),
            Self::Http(status) => write!(f, "HTTP {}", status.as_u16()),
            Self::Reset(reason) => write!(f, "RESET {}", reset_name(*reason)),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Grpc(_) => serializer.serialize_str(self.label()),
            Self::Http(_) | Self::Reset(_) => serializer.collect_str(self),
        }
    }
}

fn grpc_index(code: u16) -> usize {
    const UNKNOWN: usize = 2;
    let code = usize::from(code);
    if code < GRPC_STATUSES.len() { code } else { UNKNOWN }
}

/// The code's name in RFC 9113 7. `h2` has them in its `Debug` only.
fn reset_name(reason: Reason) -> String {
    format!("{reason:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_texts_exact() {
        for (outcome, label, text) in [
            (Outcome::Grpc(0), "OK", "OK"),
            (Outcome::Grpc(14), "UNAVAILABLE", "UNAVAILABLE"),
            (Outcome::Grpc(999), "UNKNOWN", "UNKNOWN"),
            (Outcome::Http(StatusCode::NO_CONTENT), "HTTP_2XX", "HTTP 204"),
            (Outcome::Http(StatusCode::from_u16(999).expect("valid")), "HTTP_5XX", "HTTP 999"),
            (Outcome::Reset(Reason::CANCEL), "RESET", "RESET CANCEL"),
        ] {
            assert_eq!((outcome.label(), &*outcome.to_string()), (label, text));
            assert!(outcome.index() < Outcome::LABELS);
        }
    }
}
