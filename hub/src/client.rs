//! One client, for as long as its connection lives.
//!
//! ```text
//!  connection <-> io: socket, lanes, time -> switch -> events -> admission: route, caller, turn -> dispatch: a lane
//!                                                          |        +-> answering: the hub itself, and the end
//!                                                          +----> lanes: opened, spoken, ended
//! ```

mod admission;
mod answer;
mod answering;
mod call;
mod callers;
mod calls_look;
pub(crate) mod connection;
mod dispatch;
pub(crate) mod groups;
mod io;
mod lane;
mod lane_io;
mod lanes;
mod own;
mod parking;
mod progress;
pub(crate) mod record;
mod route;
mod wakers;

#[cfg(test)]
mod tests;
