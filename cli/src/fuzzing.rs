//! What the fuzz targets reach inside the client: built by cargo-fuzz alone, which sets `cfg(fuzzing)`.

use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::input::{InputError, parse_next};

/// Reads JSON documents as the requests of one call.
///
/// # Errors
/// One does not fit.
pub fn requests(
    descriptor: &MessageDescriptor,
    json: &[u8],
) -> Result<Vec<DynamicMessage>, InputError> {
    let mut json = serde_json::Deserializer::from_reader(json);
    std::iter::from_fn(|| parse_next(&mut json, descriptor).transpose()).collect()
}
