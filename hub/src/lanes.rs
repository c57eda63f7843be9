//! Lanes to agents' servers: which one a call gets, opening, ending, who gets none for a while.
//!
//! ```text
//!  call -> Group (a name, a caller) -> a lane of the switch
//!            | on the better of two agents          ^
//!            v                                      |
//!         registry -> Agent -> LaneOpener -> Opened: a byte stream on a session, and its Seat
//! ```

mod group;
mod open;
mod penalty;
mod probe;
mod seat;
mod sentinels;

pub(crate) use self::group::{Group, LaneView, Take};
pub(crate) use self::open::{LaneOpener, Opened, failure, said, silent};
pub(crate) use self::probe::Sentinel;
pub(crate) use self::seat::Seat;
pub(crate) use self::sentinels::Sentinels;
