//! What the programs do alike around their work: logging, stop signals, exit codes.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::pin::Pin;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::log::{self, Log, LogConfig};

/// Exit code where the command line is wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Exit code of a program that a second signal ends, as of one that Ctrl-C kills.
const EXIT_SECOND_SIGNAL: u8 = 130;

/// Runs a program whose log goes to standard error, until it ends: by itself, after the first signal that
/// it is given, or at once on the second. Why it failed, if it does, is one line there.
#[must_use]
pub fn run<F>(program: &str, config: &LogConfig, main: impl FnOnce(Stop, Log) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let ended = log::start(config).and_then(|(log, writer)| {
        let ended = until_second_signal(|stop| main(stop, log));
        writer.flush();
        ended
    });
    match ended {
        Ok(code) => code,
        Err(error) => fail(program, &error),
    }
}

fn until_second_signal<F>(main: impl FnOnce(Stop) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let (stop, second) = signals()?;
        tokio::select! {
            ended = main(stop) => ended.map(|()| ExitCode::SUCCESS),
            () = second => {
                tracing::warn!("second signal: stopping at once");
                Ok(ExitCode::from(EXIT_SECOND_SIGNAL))
            }
        }
    });
    // Drops what still runs, so that no supervised process is left; and waits for nothing that blocks.
    runtime.shutdown_background();
    ended
}

/// Prints what clap has to say. Bad usage is exit code 64; help and version are no failure.
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if standard error is closed.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

/// The same error, in which a value that may be a password is not shown: clap quotes what it does not understand.
#[must_use]
pub fn without_secrets(mut error: clap::Error, flags: &[&str]) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    let is_secret = |arg: &str| flags.iter().any(|flag| arg.starts_with(flag));
    if let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg)
        && is_secret(arg)
    {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".into()));
    }
    error
}

/// A command line without the word `serve` after the program's name, which may be said or left out, and
/// whether it was said.
pub fn without_serve(line: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, bool) {
    let mut line: Vec<_> = line.into_iter().collect();
    let said = line.get(1).is_some_and(|word| word == "serve");
    if said {
        line.remove(1);
    }
    (line, said)
}

/// Resolves on the first SIGTERM or SIGINT (Ctrl-C).
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The first signal, and a future that waits for both, and has to be polled for either.
fn signals() -> std::io::Result<(Stop, impl Future<Output = ()>)> {
    let mut each = each_signal()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let has_terminal = std::io::stderr().is_terminal();
    // Without a terminal it is to reload; where it tells that the terminal is gone, whoever looked at the program is, too.
    let mut next = async move || {
        let is_still_there = || !has_terminal || std::io::stderr().is_terminal();
        let terminal_gone = async { while hangup.recv().await.is_some() && is_still_there() {} };
        tokio::select! { () = each() => {}, () = terminal_gone => {} }
    };
    let (told, first) = tokio::sync::oneshot::channel();
    let second = async move {
        next().await;
        // A program that does not wait for it can still be stopped by the second.
        let _ = told.send(());
        next().await;
    };
    Ok((Box::pin(async { drop(first.await) }), second))
}

fn each_signal() -> std::io::Result<impl AsyncFnMut()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move || {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

/// Resolves on each SIGHUP, by which programs are told to read their files anew.
///
/// # Errors
/// The system refuses to deliver signals.
pub fn reload_signals() -> std::io::Result<impl AsyncFnMut()> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move || {
        hangup.recv().await;
    })
}

/// Resolves on the first SIGTERM or SIGINT (Ctrl-C), for who does not [`run`] by it. Further ones do nothing.
///
/// # Errors
/// The system refuses to deliver signals.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut next = each_signal()?;
    Ok(async move { next().await })
}

/// Lets the process open as many files as the system allows it to; returns how many. Most systems begin
/// with 1024, for the sake of programs that cannot count further.
#[must_use]
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it there is what there was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Prints why a program failed, in one line. Our errors tell their cause themselves.
#[must_use]
pub fn fail(program: &str, error: &anyhow::Error) -> ExitCode {
    use std::io::Write;
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{program}: {error}");
    ExitCode::FAILURE
}
