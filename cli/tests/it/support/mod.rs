//! Runs the program, and the servers that it calls.

pub(crate) mod echo;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod services;
