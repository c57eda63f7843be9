//! One run of the command: from its start until its whole process group is gone.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use tokio::process::Child;
use tokio::time::{Instant, sleep_until};

use super::group::Group;
use super::output::Output;
use super::{Cause, Command, Exit, Grace};
use crate::limits::{FLUENTD_GROUP_POLL, FLUENTD_KILL_WAIT};

/// The process. Dropping it kills what is left of its group: nothing may outlive its supervisor.
pub(super) struct Process {
    child: Child,
    group: Group,
    phase: Phase,
    /// The leader has ended and was waited for.
    exited: bool,
    /// Nobody is left to be killed on drop.
    gone: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Started so recently that it may still turn out to fail at once.
    Settling { until: Instant },
    /// Runs.
    Running,
    /// Asked to end.
    Terminating { kill_at: Instant },
    /// Killed.
    Killing { look_at: Instant },
}

/// What becomes of a process.
#[derive(Debug)]
pub(super) enum Event {
    /// It did not fail at once.
    Settled,
    /// The process itself ended. What it forked may be left: see [`Event::Gone`].
    Exited(Exit),
    /// Nobody of its group is left.
    Gone,
    /// It, or something that it forked, was killed and is still there after [`FLUENTD_KILL_WAIT`]. Comes
    /// again after as long if that stays so.
    Stuck,
}

impl Process {
    /// Starts the command in a process group of its own, with no standard input and with its output
    /// logged. It counts as settled after `settle`.
    ///
    /// # Errors
    /// The system's, when it cannot run the program.
    pub(super) fn start(command: &Command, settle: Duration) -> io::Result<Self> {
        let (output, writer) = Output::pipe()?;
        let child = tokio::process::Command::new(command.program())
            .args(command.arguments())
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let group = child.id().and_then(Group::led_by);
        let group = group.ok_or_else(|| io::Error::other("the system gave it no process id"))?;
        tokio::spawn(output.log(group.id()));
        let until = Instant::now() + settle;
        Ok(Self { child, group, phase: Phase::Settling { until }, exited: false, gone: false })
    }

    /// Its process id, which is also its group's, and the group's alone once the process has ended.
    pub(super) fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Whether it may still turn out to fail at once.
    pub(super) fn is_settling(&self) -> bool {
        matches!(self.phase, Phase::Settling { .. })
    }

    /// Whether it was asked to end, or has and something that it forked has not.
    pub(super) fn is_ending(&self) -> bool {
        let asked = matches!(self.phase, Phase::Terminating { .. } | Phase::Killing { .. });
        asked || self.exited
    }

    /// Asks it and all it forked to end, and has them killed when `grace` is over. Of several the
    /// earliest end counts; the signal is sent once.
    pub(super) fn terminate(&mut self, grace: Grace) {
        let end = Instant::now() + grace.duration();
        let kill_at = match self.phase {
            Phase::Settling { .. } | Phase::Running => {
                self.group.terminate();
                end
            }
            Phase::Terminating { kill_at } => kill_at.min(end),
            Phase::Killing { .. } => return,
        };
        self.phase = Phase::Terminating { kill_at };
    }

    /// Waits for what becomes of it next, and kills it on the way when its grace is over. Nothing is
    /// lost by dropping the future. Not to be called after [`Event::Gone`].
    pub(super) async fn next(&mut self) -> Event {
        loop {
            if self.exited && self.group.is_empty() {
                self.gone = true;
                return Event::Gone;
            }
            let look_at = self.look_at();
            tokio::select! {
                biased;
                ended = self.child.wait(), if !self.exited => return self.leader_ended(ended),
                () = sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                    if let Some(event) = self.due() {
                        return event;
                    }
                }
            }
        }
    }

    /// When to look at it, if nothing happens before.
    fn look_at(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Running => None,
            Phase::Settling { until: at }
            | Phase::Terminating { kill_at: at }
            | Phase::Killing { look_at: at } => Some(at),
        };
        let poll = self.exited.then(|| Instant::now() + FLUENTD_GROUP_POLL);
        due.into_iter().chain(poll).min()
    }

    /// Takes the step whose time has come, if one has.
    fn due(&mut self) -> Option<Event> {
        let now = Instant::now();
        match self.phase {
            Phase::Settling { until } if until <= now => {
                self.phase = Phase::Running;
                Some(Event::Settled)
            }
            Phase::Terminating { kill_at } if kill_at <= now => {
                tracing::warn!(pid = self.pid(), "fluentd did not end in time, killing it");
                self.kill(now);
                None
            }
            Phase::Killing { look_at } if look_at <= now => {
                self.kill(now);
                Some(Event::Stuck)
            }
            _ => None,
        }
    }

    fn kill(&mut self, now: Instant) {
        self.group.kill();
        self.phase = Phase::Killing { look_at: now + FLUENTD_KILL_WAIT };
    }

    /// Notes that the process itself is gone, and asks what it left behind to end as well.
    fn leader_ended(&mut self, ended: io::Result<ExitStatus>) -> Event {
        let requested = self.is_ending();
        self.exited = true;
        let cause = ended.map_or_else(
            |error| {
                tracing::warn!(pid = self.pid(), %error, "cannot tell how fluentd ended");
                None
            },
            Cause::of,
        );
        if !requested && !self.group.is_empty() {
            self.terminate(Grace::DEFAULT);
        }
        Event::Exited(Exit { cause, at: SystemTime::now(), requested })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.gone {
            self.group.kill();
        }
    }
}
