//! A program as a child process, killed when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::time::Instant;

/// How long a program may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take to end after its input has.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks into a file.
const LOOK: Duration = Duration::from_millis(10);

/// A program that runs.
pub struct Program {
    child: Child,
    /// What it says, on standard output and, unless piped, on standard error.
    log: PathBuf,
    pipe: Option<Receiver<String>>,
    /// Whether it ends by itself when its input does, and with it what it has started.
    obeys: bool,
}

/// Where a program's standard error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// Into a file.
    File,
    /// Into a pipe that is read only while somebody waits for a line.
    Pipe,
}

impl Program {
    /// Starts `program`; its log is the file `label` in `dir`.
    ///
    /// # Errors
    /// There is no such program, or no place for its log.
    pub fn start(
        dir: &Path,
        label: &str,
        program: &Path,
        args: &[&str],
        stderr: Stderr,
    ) -> Result<Self> {
        let obeys = program == std::env::current_exe()?;
        let log = dir.join(label);
        let file = File::create(&log)?;
        let mut command = Command::new(program);
        let ours = |name: &str| {
            let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
            is_proxy || ["HUB_", "AGENT_", "RUST_LOG"].iter().any(|p| name.starts_with(p))
        };
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.args(args).stdin(Stdio::piped()).stdout(file.try_clone()?);
        match stderr {
            Stderr::File => command.stderr(file),
            Stderr::Pipe => command.stderr(Stdio::piped()),
        };
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let pipe = child.stderr.take().map(lines_asked_for);
        Ok(Self { child, log, pipe, obeys })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for a line that `fits` makes something of.
    ///
    /// # Errors
    /// It ended, or had its time, without one.
    pub fn said<T>(&mut self, what: &str, fits: impl Fn(&str) -> Option<T>) -> Result<T> {
        if let Some(pipe) = &self.pipe {
            let mut lines = std::iter::from_fn(|| pipe.recv_timeout(PATIENCE).ok());
            let found = lines.find_map(|line| fits(&line));
            return found.with_context(|| format!("it never said {what}"));
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if let Some(found) = text.lines().find_map(&fits) {
                return Ok(found);
            }
            if !self.runs() || Instant::now() > until {
                let last = text.lines().next_back().unwrap_or_default();
                let who = self.log.file_stem().unwrap_or_default().display();
                bail!("the {who} never said {what}, but: {last:?}");
            }
            thread::sleep(LOOK);
        }
    }

    /// The same of a JSON line with this message, and this value of a field.
    ///
    /// # Errors
    /// As [`Self::said`].
    pub fn logged(&mut self, message: &str, field: Option<(&str, &str)>) -> Result<Value> {
        self.said(message, |line| {
            let json: Value = serde_json::from_str(line).ok()?;
            let fits = field.is_none_or(|(name, value)| json[name] == value);
            (json["message"] == message && fits).then_some(json)
        })
    }

    /// All that it has said so far, unless that goes into a pipe.
    pub fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends its input, waits for its end, and returns the last line that it has said.
    pub fn finish(mut self) -> String {
        self.end_input();
        self.text().lines().next_back().unwrap_or_default().to_owned()
    }

    fn end_input(&mut self) {
        drop(self.child.stdin.take());
        let until = Instant::now() + END_PATIENCE;
        while self.runs() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }
}

/// A path as an argument.
///
/// # Errors
/// It is not text.
pub fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("not text: {}", path.display()))
}

/// The program that was given, or else the one of this name beside this one.
///
/// # Errors
/// There is none.
pub fn beside(given: Option<&PathBuf>, name: &str) -> Result<PathBuf> {
    let program = match given {
        Some(given) => given.clone(),
        None => std::env::current_exe()?.with_file_name(OsStr::new(name)),
    };
    program.canonicalize().with_context(|| format!("no program at {}", program.display()))
}

/// Lines, each read only when the one before was taken.
fn lines_asked_for(pipe: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = sync_channel(0);
    thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        // Until nobody is left to ask.
        for line in lines {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.obeys {
            self.end_input();
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
