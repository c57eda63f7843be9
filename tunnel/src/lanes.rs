//! Lanes: byte streams inside one WebSocket, each a connection of one caller to the upstream.
//!
//! ```text
//!  Lane (AsyncRead + AsyncWrite) --+                                     +-- Lane
//!  Lane ---------------------------+-- Mux -- Driver == WebSocket == ... +-- Lane
//!        credit, queues              turns    messages, pings, close
//! ```
//!
//! The hub opens lanes ([`Lanes::open`]), the agent accepts them ([`Lanes::accept`]). [`Mux`] is one end's
//! state, without I/O and clock; [`Driver`] moves its messages over the WebSocket; a [`Lane`] is what callers
//! hold. The bytes on the wire are in [`frame`].

mod by_id;
mod driver;
mod end;
mod fair_queue;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod inbox;
mod lane;
mod memory;
#[cfg(any(test, fuzzing))]
pub mod model;
mod mux;
mod role;
mod shared;

pub use self::driver::{Driver, start};
pub use self::end::{LaneEnd, LaneStatus};
pub use self::frame::{Open, ResetCode, Source};
pub use self::lane::Lane;
pub use self::memory::{LaneMemory, Promise};
pub use self::mux::{Event, Mux, Violation};
pub use self::role::Role;
pub use self::shared::Lanes;

#[cfg(test)]
mod tests;
