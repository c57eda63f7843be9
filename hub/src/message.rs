//! What the hub answers itself.

pub(crate) mod form;
pub(crate) mod refusal;
