//! What the hub answers itself.

pub(crate) mod refusal;
