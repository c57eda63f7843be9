//! Lanes of client connections: each caller has its own connection to an agent's server.
//!
//! ```text
//!  call -> Pool (a client connection's) -> Group (a name, a caller) -> Lane -> h2 client -> tunnel lane -> agent
//!                                            |  opens on the better of two agents
//!                                            v
//!                                         registry -> Agent
//! ```

mod context;
mod driver;
mod group;
mod lane;
mod open;
mod owner;
mod penalty;
mod place;
mod pool;
mod sentinels;
mod watch;

pub(crate) use self::lane::Permit;
pub(crate) use self::open::{LaneOpener, OpenError};
pub(crate) use self::owner::Owner;
pub(crate) use self::pool::{Pool, network};
