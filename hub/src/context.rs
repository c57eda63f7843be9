//! What all parts of one hub share.

pub(crate) mod beginning;
pub(crate) mod doors;
pub(crate) mod hub;
pub(crate) mod origin;
