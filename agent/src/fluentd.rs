//! The built-in `fluentd.v1.Fluentd` service, and the process that it supervises.
//!
//! [`FluentdService`] answers the calls, a [`Supervisor`] owns the process that a [`Command`] starts.
//! The process leads a process group of its own, and it ends when the whole group has: fluentd forks
//! workers, and a worker that outlives its parent would keep the ports that the next start needs.
//! So the command has to stay in the foreground and must not leave its group (no `fluentd --daemon`).

mod actor;
mod command;
mod grace;
mod group;
mod output;
mod process;
mod service;
mod status;
mod supervisor;

pub use command::{Command, CommandError};
pub use grace::{Grace, GraceError};
pub use service::FluentdService;
pub use status::{Cause, Exit, Started, State, Status};
pub use supervisor::{Supervisor, SupervisorError};
