//! Which log lines are written.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// A filter as `RUST_LOG` has it: `info`, or `warn,hub=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// A text is no filter.
#[derive(Debug, thiserror::Error)]
#[error("a log filter is written info, or warn,hub=debug: {0}")]
pub struct LogFilterError(String);

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        if text.is_empty() {
            return Err(LogFilterError("this is empty".into()));
        }
        EnvFilter::try_new(text).map_err(|error| LogFilterError(error.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<LogFilter> for EnvFilter {
    fn from(filter: LogFilter) -> Self {
        // It has been tried.
        Self::new(filter.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_rust_log() {
        for text in ["info", "warn,hub=debug", "hub::client=trace,off"] {
            assert_eq!(text.parse::<LogFilter>().expect("a filter").to_string(), text);
        }
        for (text, word) in [("", "empty"), ("hub=debgu", "parsing level"), ("=", "invalid")] {
            let error = text.parse::<LogFilter>().expect_err("no filter").to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
