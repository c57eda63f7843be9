//! A FIFO through which processes tell a test how they are.

use std::fs::File;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::super::Command;

/// Longer than anything here takes, so that only a hung test runs into it.
pub(super) const HUNG: Duration = Duration::from_secs(60);

/// Where processes write lines, and which tells when all of them are gone.
pub(super) struct Fifo {
    path: PathBuf,
    lines: mpsc::UnboundedReceiver<Option<String>>,
    _folder: TempDir,
}

impl Fifo {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let source = path.clone();
        // A thread of its own: opening waits for a writer, and nothing should wait for this to end.
        std::thread::spawn(move || {
            while let Ok(fifo) = File::open(&source) {
                let lines = BufReader::new(fifo).lines().map_while(Result::ok);
                lines.map(Some).chain([None]).for_each(|line| {
                    let _ = sender.send(line);
                });
            }
        });
        Self { path, lines, _folder: folder }
    }

    /// `/bin/sh` with this script, whose descriptor 3 is the FIFO.
    pub(super) fn script(&self, script: &str) -> Command {
        shell(&format!("exec 3>{}; {script}", self.path.display()))
    }

    /// The next line, also if all who wrote before are gone.
    pub(super) async fn line(&mut self) -> String {
        loop {
            if let Some(line) = in_time(self.lines.recv()).await.unwrap() {
                return line;
            }
        }
    }

    /// The process ids that `PARENT` and `DEAF` say.
    pub(super) async fn pids(&mut self) -> (u32, u32) {
        let line = self.line().await;
        let (parent, child) = line.split_once(' ').unwrap();
        (parent.parse().unwrap(), child.parse().unwrap())
    }

    /// Waits until no process holds the FIFO any more. Not to be asked where another one follows: it
    /// may be there before the end of the former is seen.
    pub(super) async fn all_gone(&mut self) {
        assert_eq!(in_time(self.lines.recv()).await.unwrap(), None);
    }
}

/// `/bin/sh` with this script.
pub(super) fn shell(script: &str) -> Command {
    let line = shell_words::join(["/bin/sh", "-c", script]);
    line.parse().unwrap()
}

/// What the future gives, which it must before the test counts as hung.
pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HUNG, future).await.expect("hung")
}
