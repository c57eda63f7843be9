//! What the targets share.

mod chunked;
mod draw;
mod runtime;

pub use chunked::{AtEnd, Chunked, Writes};
pub use draw::Draw;
pub use runtime::run;
