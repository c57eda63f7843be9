//! The hub's own services, and what its admin listener shows.

mod activity;
mod auth;
pub(crate) mod clients;
pub(crate) mod health;
pub(crate) mod health_list;
mod metrics;
mod names;
mod public_health;
mod readiness;
mod reload;
mod traces;
mod watching;
mod words;
