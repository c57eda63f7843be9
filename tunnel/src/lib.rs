//! What hub and agent agree on.
pub mod tls;
