//! What the hub answers itself.

pub(crate) mod connect;
mod fault;
pub(crate) mod form;
pub(crate) mod forwarded;
pub(crate) mod refusal;
pub(crate) mod timeout;
