//! Agents, their sessions and lanes, from beginning to end.

mod ages;
mod drain;
mod lanes;
mod names;
mod owners;
mod reconnect;
mod sessions;
mod suspects;
