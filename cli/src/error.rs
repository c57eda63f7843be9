//! Everything that ends the program early.

use std::io;

use tonic::Status;
use tunnel::tls::TlsError;

use crate::input::InputError;
use crate::metadata::TokenError;
use crate::output::OutputError;

/// Why a command has failed. [`crate::status`] says which exit code each has.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token file is of no use.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The CA file is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The request is no JSON, or does not fit the method.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The call's status, or one in gRPC's terms for what went wrong on the way there.
    #[error(transparent)]
    Status(#[from] Status),
    /// A response cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The system refuses a thread or a timer.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}
