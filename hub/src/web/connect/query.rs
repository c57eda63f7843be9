//! A unary call without a body: the message stands in the query ("Unary-Get-Request").

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

/// Base64 as it may stand in a URI, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the query says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) message: Vec<u8>,
    /// What the message is: `proto` or `json`.
    pub(super) codec: String,
    /// How it is compressed, if it is.
    pub(super) compression: Option<String>,
}

/// Reads it; `None`, if it says no message or no codec, or something broken.
pub(super) fn read(query: &str) -> Option<Query> {
    let (mut message, mut codec, mut compression, mut is_base64) = (None, None, None, false);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        match name {
            "message" => message = Some(value),
            "encoding" => codec = Some(String::from_utf8(value).ok()?),
            "compression" => compression = Some(String::from_utf8(value).ok()?),
            "base64" => is_base64 = value == b"1",
            _ => {}
        }
    }
    let message = message?;
    Some(Query {
        message: if is_base64 { BASE64.decode(message).ok()? } else { message },
        codec: codec?,
        compression: compression.filter(|name| name != "identity" && !name.is_empty()),
    })
}

/// Percent-encoded, as forms are; what is broken stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_in_the_query() {
        let of = |message: &[u8], codec: &str, compression: Option<&str>| {
            let compression = compression.map(str::to_owned);
            Some(Query { message: message.into(), codec: codec.into(), compression })
        };
        for (query, says) in [
            ("connect=v1&encoding=json&message=%7B%22a%22%3A1%7D", of(b"{\"a\":1}", "json", None)),
            ("message=a+b%zz&encoding=json", of(b"a b%zz", "json", None)),
            ("base64=1&encoding=proto&message=_-8", of(b"\xff\xef", "proto", None)),
            ("base64=1&encoding=proto&message=_-8%3D", of(b"\xff\xef", "proto", None)),
            ("encoding=proto&message=&compression=gzip", of(b"", "proto", Some("gzip"))),
            ("encoding=proto&message=&compression=identity", of(b"", "proto", None)),
            ("base64=1&encoding=proto&message=*", None),
            ("encoding=proto", None),
            ("message=", None),
        ] {
            assert_eq!(read(query), says, "{query}");
        }
    }
}
