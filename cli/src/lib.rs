//! The command-line client of grpc-hub: lists agents, and calls any gRPC method by name.
//!
//! ```text
//! args --> connect --> caller --+--> schema (built in, or reflection) --+
//!                               |                                       v
//!                    input ---> call (codec: descriptor <-> bytes) ---> output
//! ```
//! Every call, of a built-in service too, is made of descriptors and takes that one path.

pub mod args;
mod call;
mod caller;
mod cmd;
mod codec;
mod connect;
mod describe;
mod details;
mod error;
mod files;
mod front;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http2_check;
mod input;
pub mod limits;
mod mend;
mod metadata;
mod method_path;
mod output;
mod reflection;
mod schema;
pub mod status;
mod table;

pub use error::Error;

use args::Args;

/// The exit code of a program that was told to stop with Ctrl-C: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Does what the command line asks for.
///
/// Ends the whole process when SIGINT arrives.
///
/// # Errors
/// What [`status::report`] tells the user.
pub fn run(args: Args) -> Result<(), Error> {
    // A second thread keeps the connection and Ctrl-C alive while this one waits for a slow reader
    // of standard output.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED);
        }
    });
    let result = runtime.block_on(cmd::run(args));
    runtime.shutdown_background();
    result
}
