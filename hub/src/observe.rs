//! What is seen from outside: events, metrics, limits that were reached.

pub(crate) mod access_log;
pub(crate) mod activity;
pub(crate) mod books;
pub(crate) mod ending;
mod event;
pub(crate) mod heard;
mod history;
pub(crate) mod limit;
pub(crate) mod metrics;
pub(crate) mod name_view;
pub(crate) mod outcome;
pub(crate) mod tally;
pub(crate) mod trace;
pub(crate) mod traces;
