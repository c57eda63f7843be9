//! How the program ends: the exit code, and the line on standard error.

use std::io::{self, Write as _};
use std::process::ExitCode;

use tonic::{Code, Status};
use tunnel::wire;

use crate::details;
use crate::error::Error;
use crate::output::{OutputError, printable};

/// Bad usage: of the command line, a file it names, or the request.
const USAGE: u8 = 64;
/// Anything that is neither bad usage nor a call's status.
const FAILED: u8 = 1;

/// Tells the user about an error, and returns the exit code.
pub fn report(result: Result<(), Error>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let (code, text) = match &error {
        Error::Status(status) => (status.code() as u8, lines(status)),
        Error::Output(OutputError::Write(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => {
            // Whoever read our output has seen enough.
            return ExitCode::SUCCESS;
        }
        Error::Token(_) | Error::Tls(_) | Error::Input(_) => (USAGE, format!("error: {error}")),
        Error::Output(_) | Error::Runtime(_) => (FAILED, format!("error: {error}")),
    };
    complain(&text);
    ExitCode::from(code)
}

/// Tells the user what is wrong with the command line, or prints the help that was asked for.
pub fn report_usage(error: &clap::Error) -> ExitCode {
    // Where even this cannot be printed, nobody reads it.
    _ = error.print();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(USAGE),
    }
}

/// The name of a code as gRPC spells it.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The same status, with `hint` after its message.
pub(crate) fn with_hint(status: &Status, hint: &str) -> Status {
    let message = match status.message() {
        "" => hint.to_owned(),
        message => format!("{message}; {hint}"),
    };
    let (details, metadata) = (status.details().to_vec().into(), status.metadata().clone());
    Status::with_details_and_metadata(status.code(), message, details, metadata)
}

/// One line for the status, and one more for each of its details.
fn lines(status: &Status) -> String {
    let mut text = name(status.code()).to_owned();
    if !status.message().is_empty() {
        text.push_str(": ");
        text.push_str(&printable(status.message()));
    }
    let reason = status.metadata().get(wire::HUB_REASON);
    if let Some(reason) = reason.and_then(|reason| reason.to_str().ok()) {
        text.push_str(&format!(" ({}: {reason})", wire::HUB_REASON));
    }
    for detail in details::lines(status.details()) {
        text.push_str("\n  ");
        text.push_str(&printable(&detail));
    }
    text
}

/// The one place the program complains. Where standard error is closed, nobody listens.
fn complain(text: &str) {
    _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        let mut status = Status::unavailable("nobody has registered\nthe name \"x\"");
        let reason = "unknown-name".parse().unwrap();
        status.metadata_mut().insert(wire::HUB_REASON, reason);
        assert_eq!(
            lines(&status),
            "UNAVAILABLE: nobody has registered\\nthe name \"x\" (hub-reason: unknown-name)"
        );
        assert_eq!(lines(&Status::new(Code::Aborted, "")), "ABORTED");
    }
}
