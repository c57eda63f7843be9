//! Where calls are written down, a line each.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What `--access-log` and `--access-log-sample` say.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLogConfig {
    /// The place.
    pub to: LogPlace,
    /// Which share of the calls without errors is written, from 0 to 1. Those with errors always are.
    pub sample: f64,
}

/// A file, or standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// Standard output, `-` on the command line.
    Stdout,
    /// Appended to; opened anew at each reload, so that it can be moved away before.
    File(PathBuf),
}

impl FromStr for LogPlace {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(text.into()) })
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
