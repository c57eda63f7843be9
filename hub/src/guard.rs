//! Guards on single connections: what a peer may send, how fast, and how much before it is read.

pub(crate) mod frame_guard;
pub(crate) mod frames;
pub(crate) mod handshakes;
pub(crate) mod held_bytes;
pub(crate) mod pace;
pub(crate) mod peer_guard;
pub(crate) mod rate_by;
pub(crate) mod second_handle;
