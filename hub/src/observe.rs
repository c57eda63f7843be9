//! What is seen from outside: events, metrics, limits that were reached.

pub(crate) mod activity;
pub(crate) mod heard;
pub(crate) mod limit;
pub(crate) mod metrics;
pub(crate) mod outcome;
