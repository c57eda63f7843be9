//! How the supervised process is.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// All that is known about the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Whether it runs.
    pub state: State,
    /// The command line it is started with.
    pub command: String,
    /// How many times it was started.
    pub starts: u64,
    /// When it was started last.
    pub started: Option<Started>,
    /// How it ended the last time.
    pub last_exit: Option<Exit>,
}

/// Whether the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never started, or it and all it forked are gone.
    Stopped,
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It was asked to end and has not yet, or it ended and what it forked has not yet.
    Stopping {
        /// Its process id, which is also its group's.
        pid: u32,
    },
}

/// A point in time on the two clocks: the calendar, and the one that is never set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// For people.
    pub at: SystemTime,
    /// To measure from.
    pub since: Instant,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What ended it. `None` if the system did not tell.
    pub cause: Option<Cause>,
    /// When that was noticed.
    pub at: SystemTime,
    /// It was asked to end.
    pub requested: bool,
}

/// What ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It did so itself, with this exit code.
    Code(i32),
    /// The signal with this number.
    Signal(i32),
}

impl Status {
    /// Of a process that was never started.
    pub(super) fn stopped(command: &str) -> Self {
        Self {
            state: State::Stopped,
            command: command.into(),
            starts: 0,
            started: None,
            last_exit: None,
        }
    }

    /// For how long it has been running. `None` if it does not run.
    #[must_use]
    pub fn uptime(&self) -> Option<Duration> {
        match self.state {
            State::Stopped => None,
            State::Running { .. } | State::Stopping { .. } => {
                self.started.map(|started| started.since.elapsed())
            }
        }
    }
}

impl Started {
    /// This moment.
    pub(super) fn now() -> Self {
        Self { at: SystemTime::now(), since: Instant::now() }
    }
}

impl Cause {
    /// `None` for a status that is neither an exit nor a death by signal, as of a stopped process.
    pub(super) fn of(status: ExitStatus) -> Option<Self> {
        let code = status.code().map(Self::Code);
        code.or_else(|| status.signal().map(Self::Signal))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
