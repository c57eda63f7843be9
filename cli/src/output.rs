//! Standard output: the one place the program prints what it was asked for.

use std::borrow::Cow;
use std::io::{self, Write as _};

use prost::DecodeError;
use prost_reflect::DynamicMessage;

use crate::args::Format;

/// Why something cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Standard output does not take it.
    #[error("cannot write to standard output: {0}")]
    Write(#[from] io::Error),
    /// A message that JSON cannot say, such as an `Any` of a type that the server does not describe.
    #[error("cannot print the response as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A message that is not what its descriptor says.
    #[error("cannot print the response: {0}")]
    Message(#[from] DecodeError),
}

/// Prints text and a line feed, and sees to it that a reader at the other end of a pipe gets it now.
///
/// # Errors
/// Standard output does not take it.
pub(crate) fn line(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// Prints a message: as one line of JSON for programs, as `people` says for people.
///
/// # Errors
/// Standard output does not take it, or the message cannot be said so.
pub(crate) fn message(
    format: Format,
    message: &DynamicMessage,
    people: impl FnOnce(&DynamicMessage) -> Result<String, OutputError>,
) -> Result<(), OutputError> {
    match format {
        Format::Json => line(&serde_json::to_string(message)?),
        Format::Table => line(&people(message)?),
    }
}

/// A message as indented JSON.
///
/// # Errors
/// JSON cannot say it.
pub(crate) fn pretty(message: &DynamicMessage) -> Result<String, OutputError> {
    Ok(serde_json::to_string_pretty(message)?)
}

/// Text of somebody else's on a terminal of ours: control characters are escaped, because they could
/// move the cursor, hide text, or break a line or table.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return text.into();
    }
    let escape = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.into(),
    };
    text.chars().map(escape).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("gr\u{fc}n"), "gr\u{fc}n");
        assert_eq!(printable("a\nb\u{1b}[2J\u{9b}"), "a\\nb\\u{1b}[2J\\u{9b}");
    }
}
