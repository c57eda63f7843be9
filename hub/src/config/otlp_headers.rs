//! What a collector is told with each lot of spans, a token mostly.

use std::env::{VarError, var};
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Where OpenTelemetry has them, the first before the second. They are no flag: they are secrets.
const VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// `KEY=VALUE,KEY=VALUE`, with values percent-encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpHeaders(HeaderMap);

/// They are none. It does not say what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "OTEL_EXPORTER_OTLP_HEADERS and its like are KEY=VALUE, with commas between and values percent-encoded"
)]
pub struct OtlpHeadersError;

impl OtlpHeaders {
    /// As gRPC sends them.
    pub(crate) fn map(&self) -> &HeaderMap {
        &self.0
    }

    /// What the environment says.
    pub(super) fn from_env() -> Result<Self, OtlpHeadersError> {
        Self::first(VARIABLES.map(var))
    }

    /// What the first of these variables says that is there. An empty one is not, as OpenTelemetry has it.
    fn first(variables: [Result<String, VarError>; 2]) -> Result<Self, OtlpHeadersError> {
        let is_there = |said: &Result<String, VarError>| match said {
            Ok(text) => !text.is_empty(),
            Err(error) => *error != VarError::NotPresent,
        };
        match variables.into_iter().find(is_there) {
            None => Ok(Self::default()),
            Some(said) => said.map_err(|_| OtlpHeadersError)?.parse(),
        }
    }
}

impl FromStr for OtlpHeaders {
    type Err = OtlpHeadersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(header).collect::<Option<_>>().map(Self).ok_or(OtlpHeadersError)
    }
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (key, value) = entry.split_once('=')?;
    let value = percent_decode_str(value.trim()).collect::<Vec<_>>();
    let mut value = HeaderValue::from_bytes(&value).ok()?;
    value.set_sensitive(true);
    Some((key.trim().parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_something() {
        let first = |traces: Option<&str>, all: Option<&str>| {
            let said = |text: Option<&str>| text.map(str::to_owned).ok_or(VarError::NotPresent);
            OtlpHeaders::first([said(traces), said(all)])
        };
        for (traces, all, said) in [
            (None, None, ""),
            (None, Some("a=all"), "a=all"),
            (Some("a=traces"), None, "a=traces"),
            (Some("a=traces"), Some("a=all"), "a=traces"),
            (Some(""), Some("a=all"), "a=all"),
            (Some(""), Some(""), ""),
        ] {
            assert_eq!(first(traces, all), said.parse(), "{traces:?}, {all:?}");
        }
        assert_eq!(first(Some("nonsense"), Some("a=all")), Err(OtlpHeadersError));
        let no_text = Err(VarError::NotUnicode("".into()));
        let first = OtlpHeaders::first([no_text, Ok("a=all".to_owned())]);
        assert_eq!(first, Err(OtlpHeadersError));
    }

    #[test]
    fn headers() {
        let headers: OtlpHeaders =
            "Authorization=Bearer%20secret, api-key = a=b ,".parse().expect("headers");
        assert_eq!(headers.map()["authorization"], "Bearer secret");
        assert_eq!(headers.map()["api-key"], "a=b");
        assert!(!format!("{headers:?}").contains("secret"), "{headers:?}");
        assert_eq!("".parse(), Ok(OtlpHeaders::default()));
        for bad in ["secret", "a b=c", "a=%0a", "=b"] {
            assert_eq!(bad.parse::<OtlpHeaders>(), Err(OtlpHeadersError), "{bad}");
        }
    }
}
