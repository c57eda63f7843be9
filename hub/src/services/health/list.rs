//! How the hub is and all names are that somebody may ask about, in one answer.

use std::collections::HashMap;

use hub_proto::grpc::health::v1::health_check_response::ServingStatus;
use hub_proto::grpc::health::v1::{HealthCheckResponse, HealthListResponse};
use prost::encoding::{encoded_len_varint, key_len};
use tunnel::name::Name;

use super::sight::Sight;
use crate::config::auth::{Auth, Caller};
use crate::limits::HEALTH_LIST_BYTES;
use crate::registry::Presence;

/// They are more than one answer has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// What is put together.
#[derive(Debug, Default)]
struct List {
    statuses: HashMap<String, HealthCheckResponse>,
    bytes: usize,
}

/// The hub itself with this status, and the names as a caller sees them, or somebody who is none.
///
/// # Errors
/// They are more than [`HEALTH_LIST_BYTES`].
pub(super) fn list(
    hub: ServingStatus,
    presences: &[(Name, Presence)],
    caller: Option<&Caller>,
    auth: &Auth,
) -> Result<HealthListResponse, TooMany> {
    let mut list = List::default();
    list.add("", hub)?;
    for (name, presence) in presences {
        let sight = Sight::of(name, caller, auth);
        if let Some(status) = sight.and_then(|sight| sight.listed(*presence)) {
            list.add(name.as_str(), status)?;
        }
    }
    Ok(HealthListResponse { statuses: list.statuses })
}

impl List {
    fn add(&mut self, service: &str, status: ServingStatus) -> Result<(), TooMany> {
        self.bytes += entry_len(service.len());
        if self.bytes > HEALTH_LIST_BYTES {
            return Err(TooMany);
        }
        let status = HealthCheckResponse { status: status.into() };
        self.statuses.insert(service.to_owned(), status);
        Ok(())
    }
}

/// Bytes of one entry of the answer, at most: a field that holds a name and a message, which holds a small number.
fn entry_len(name: usize) -> usize {
    const STATUS: usize = 4;
    let entry = key_len(1) + encoded_len_varint(name as u64) + name + STATUS;
    key_len(1) + encoded_len_varint(entry as u64) + entry
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn bytes_are_counted_as_they_are_sent() {
        let mut list = List::default();
        for name in 1..=128 {
            list.add(&"x".repeat(name), ServingStatus::NotServing).expect("room");
        }
        let List { statuses, bytes } = list;
        assert_eq!(HealthListResponse { statuses }.encoded_len(), bytes);
    }
}
