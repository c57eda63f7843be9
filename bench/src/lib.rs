//! What the measuring programs of this crate share.

pub mod child;
pub mod document;
pub mod foreign;
pub mod message;
pub mod role;
pub mod sample;
