//! The switch between a client and upstreams that keep strictly to their windows.

mod bounds;
mod end;
mod endings;
mod far;
mod faults;
mod hears;
mod hostile;
mod messages;
mod model;
mod oracle;
mod progress;
mod replays;
mod windows;
mod world;
