//! Agents, their sessions and lanes, from beginning to end.

mod drain;
mod lanes;
mod reconnect;
mod sessions;
