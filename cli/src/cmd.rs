//! The commands: each knows what to ask, and how to show the answer to people.

mod call;
mod completions;
mod describe;
mod fluentd;
mod hub;
mod list;
mod names;
mod ping;

use crate::Error;
use crate::args::{Args, Command};

/// Runs the command.
///
/// # Errors
/// What [`crate::status::report`] tells the user.
pub(crate) async fn run(args: Args) -> Result<(), Error> {
    let Args { options, command } = args;
    match command {
        Command::Hub(command) => hub::run(options, command).await,
        Command::Fluentd(command) => fluentd::run(options, command).await,
        Command::Call(call) => call::run(options, call).await,
        Command::List(list) => list::run(options, list).await,
        Command::Describe(describe) => describe::run(options, describe).await,
        Command::Ping(ping) => ping::run(options, ping).await,
        Command::Completions { shell } => completions::run(shell),
    }
}
