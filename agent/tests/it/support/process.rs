//! A program as a child process, killed when its test ends.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::log::{Line, Log};
use super::soon;

/// A program that runs.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: Log,
}

/// How it has ended, and what it has said.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: Vec<Line>,
}

/// The program, with nothing in its environment that could change what it does.
pub(crate) fn command<'a>(program: &Path, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(program);
    let ours = |name: &str| {
        let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
        is_proxy || ["HUB_", "AGENT_", "RUST_LOG"].iter().any(|p| name.starts_with(p))
    };
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.args(args).kill_on_drop(true);
    command
}

impl Process {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it runs").cast_signed();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Whether it has not ended yet.
    #[track_caller]
    pub(crate) fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {:#?}", self.log.lines());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> impl Future<Output = Ended> {
        soon(async move {
            let mut stdout = String::new();
            self.child.stdout.take().unwrap().read_to_string(&mut stdout).await.unwrap();
            let status = self.child.wait().await.unwrap();
            self.log.ended().await;
            Ended { status, stdout, stderr: self.log.lines() }
        })
    }
}

impl Ended {
    /// The exit code. A program that a signal has ended has none, and fails the test.
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{self:#?}"))
    }

    /// Everything on standard error.
    pub(crate) fn text(&self) -> String {
        self.stderr.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The one line on standard error of a program that has failed with exit code 1.
    #[track_caller]
    pub(crate) fn failure(&self) -> &str {
        assert_eq!((self.code(), self.stdout.as_str()), (1, ""), "{self:#?}");
        assert_eq!(self.stderr.len(), 1, "not one line: {self:#?}");
        &self.stderr[0].text
    }
}
