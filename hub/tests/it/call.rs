//! One call: what each side hears of what the other says.

mod bulk;
mod calls;
mod cancel;
mod flow;
mod header_lists;
mod http;
mod long_heads;
mod malformed;
mod many;
mod metadata;
mod model;
mod parked;
mod refusals;
mod resets;
mod streams;
mod traps;
mod windows;
