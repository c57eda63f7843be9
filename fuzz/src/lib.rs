//! What the targets share.

mod chunked;
mod runtime;

pub use chunked::{AtEnd, Chunked, Writes};
pub use runtime::run;
