//! Heads and trailers: what the hub answers itself, what it refuses, what it takes off.

pub(crate) mod header_list;
pub(crate) mod hub_headers;
pub(crate) mod malformed;
pub(crate) mod refusal;
