//! The log of a program: lines on standard error, how they look, and which.

mod filter;
mod writer;

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

pub use self::filter::{LogFilter, LogFilterError};
pub(crate) use self::writer::LogWriter;
use crate::setting::{Setting, SettingError};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("the log format is text or json"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What a program is to log.
#[derive(Clone, Debug, Default)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// Which are written; as `RUST_LOG` says without, and those of level `info` without that.
    pub filter: Option<Setting<LogFilter>>,
}

/// The log of a program that runs. By default nobody's, which has no file to read anew.
#[derive(Clone, Default)]
pub struct Log(Option<Arc<File>>);

/// A filter that a file says.
struct File {
    setting: Setting<LogFilter>,
    replace: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.0.as_ref().map(|file| &file.setting)).finish()
    }
}

/// A filter that was read and does not hold yet.
#[derive(Debug)]
pub struct NewFilter<'l> {
    log: &'l Log,
    filter: Option<LogFilter>,
}

impl Log {
    /// Reads anew which lines are to be written, if a file says that.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read(&self) -> Result<NewFilter<'_>, SettingError> {
        let filter = self.0.as_ref().map(|file| file.setting.read()).transpose()?;
        Ok(NewFilter { log: self, filter })
    }
}

impl NewFilter<'_> {
    /// From now on it holds.
    pub fn apply(self) {
        if let (Some(file), Some(filter)) = (&self.log.0, self.filter) {
            (file.replace)(filter.into());
        }
    }
}

/// Sends log lines to standard error, from a thread of its own; to be flushed at the end.
///
/// # Errors
/// The file of the filter cannot be used, or the system has no thread left.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<(Log, LogWriter)> {
    let (filter, mistake) = match &config.filter {
        Some(setting) => (setting.read()?.into(), None),
        None => asked_by_environment(),
    };
    let writer = LogWriter::start(std::io::stderr())?;
    let lines = tracing_subscriber::fmt().with_writer(writer.clone()).with_env_filter(filter);
    // A second call, as in tests that start several programs in one process, changes nothing.
    let replace: Box<dyn Fn(EnvFilter) + Send + Sync> = match config.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            let lines = lines.with_ansi(colours).with_target(false).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    };
    if let Some(error) = mistake {
        tracing::warn!(error, "RUST_LOG cannot be used: logging as with RUST_LOG=info");
    }
    let file = config.filter.clone().map(|setting| Arc::new(File { setting, replace }));
    Ok((Log(file), writer))
}

/// The filter, and what is wrong with `RUST_LOG`.
fn asked_by_environment() -> (EnvFilter, Option<String>) {
    let asked = EnvFilter::try_from_default_env();
    let mistake = asked.as_ref().err().filter(|_| std::env::var_os("RUST_LOG").is_some());
    let mistake = mistake.map(ToString::to_string);
    (asked.unwrap_or_else(|_| EnvFilter::new("info")), mistake)
}
