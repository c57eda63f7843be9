//! What a status carries beyond its message: `grpc-status-details-bin`, a google.rpc.Status.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::Any;

/// A line for each detail: JSON where it is of google.rpc or a well-known type, base64 otherwise.
pub(crate) fn lines(details: &[u8]) -> Vec<String> {
    if details.is_empty() {
        return Vec::new();
    }
    let Ok(status) = tonic_types::Status::decode(details) else {
        return vec![format!("details: {}", BASE64_STANDARD.encode(details))];
    };
    let pool = pool();
    status
        .details
        .iter()
        .map(|detail| {
            decoded(&pool, detail).unwrap_or_else(|| {
                let value = BASE64_STANDARD.encode(&detail.value);
                format!("{}: {value}", detail.type_url)
            })
        })
        .collect()
}

fn pool() -> DescriptorPool {
    let mut pool = DescriptorPool::global();
    // Without them details are printed as base64: less readable, and nothing lost.
    _ = pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
    pool
}

fn decoded(pool: &DescriptorPool, detail: &Any) -> Option<String> {
    let (_, name) = detail.type_url.rsplit_once('/')?;
    let descriptor = pool.get_message_by_name(name)?;
    let message = DynamicMessage::decode(descriptor, &detail.value[..]).ok()?;
    let json = serde_json::to_string(&message).ok()?;
    Some(format!("{name}: {json}"))
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn known_details_are_json() {
        let mut details = ErrorDetails::new();
        details.set_error_info("OUT", "example.org", [("k".into(), "v".into())]);
        let status = tonic::Status::with_error_details(tonic::Code::Aborted, "no", details);
        assert_eq!(
            lines(status.details()),
            [concat!(
                "google.rpc.ErrorInfo: ",
                r#"{"reason":"OUT","domain":"example.org","metadata":{"k":"v"}}"#
            )]
        );
    }

    #[test]
    fn others_are_base64() {
        let status = tonic_types::Status {
            details: vec![Any { type_url: "type.googleapis.com/my.Own".into(), value: vec![0, 1] }],
            ..Default::default()
        };
        let encoded = status.encode_to_vec();
        assert_eq!(lines(&encoded), ["type.googleapis.com/my.Own: AAE="]);
        assert_eq!(lines(b"\xff"), ["details: /w=="]);
        assert!(lines(b"").is_empty());
    }
}
