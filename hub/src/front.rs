//! The hub's port: connections are accepted, and handed on by what they speak.

pub(crate) mod admin;
pub(crate) mod connection;
pub(crate) mod detect;
pub(crate) mod drain;
pub(crate) mod listener;
mod page;
pub(crate) mod proxied;
pub(crate) mod worker;
