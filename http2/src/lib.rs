//! HTTP/2's frames (RFC 9113) and header compression (RFC 7541), for who passes frames on rather than ends them.
//!
//! ```text
//!  bytes -> Input -> frame head, payload -> block -> hpack::Decoder -> Fields -> message (is it well formed?)
//!  bytes <- Output <- frame::write_*  <-------------- hpack::Encoder <- Fields
//! ```
//!
//! Nothing here knows of connections, calls or sockets, reads a clock or logs: what is wrong is returned.

pub mod block;
pub mod error;
pub mod fields;
pub mod frame;
pub mod hpack;
pub mod input;
pub mod message;
pub mod output;
pub mod settings;
