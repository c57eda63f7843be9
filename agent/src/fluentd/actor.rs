//! The task behind the supervisor: it alone owns the process and writes its status.

use std::future::pending;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::process::{Event, Process};
use super::{Command, Exit, Grace, Started, State, Status, SupervisorError};
use crate::limits::FLUENTD_MAX_WAITING;

/// What the process is to do, and who wants to know.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) action: Action,
    pub(super) reply: Reply,
}

/// What the process is to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// Run.
    Start,
    /// End.
    Stop(Grace),
    /// End if it runs, then run.
    Restart(Grace),
    /// End, for good.
    Shutdown,
}

type Outcome = Result<Status, SupervisorError>;
type Reply = oneshot::Sender<Outcome>;

/// Takes orders and events of the process as they come. It waits for neither while it handles one, so
/// an order that is given during a long stop takes effect at once.
pub(super) struct Actor {
    command: Command,
    settle: Duration,
    orders: mpsc::Receiver<Order>,
    status: watch::Sender<Status>,
    process: Option<Process>,
    /// To be started again once the process is gone.
    start_again: bool,
    /// Who wants to know when it has started.
    starting: Vec<Reply>,
    /// Who wants to know when it is gone.
    stopping: Vec<Reply>,
    /// Takes no orders any more.
    closing: bool,
}

impl Actor {
    pub(super) fn new(
        command: Command,
        settle: Duration,
        orders: mpsc::Receiver<Order>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            command,
            settle,
            orders,
            status,
            process: None,
            start_again: false,
            starting: Vec::new(),
            stopping: Vec::new(),
            closing: false,
        }
    }

    /// Runs until it is shut down, or no handle is left, and the process is gone.
    pub(super) async fn run(mut self) {
        while !self.closing || self.process.is_some() {
            tokio::select! {
                biased;
                event = next_event(&mut self.process) => self.handle(event),
                order = self.orders.recv(), if !self.closing => match order {
                    Some(order) => self.obey(order),
                    None => self.close(),
                },
            }
        }
    }

    fn obey(&mut self, Order { action, reply }: Order) {
        match action {
            Action::Start => self.start(reply),
            Action::Stop(grace) => self.stop(grace, reply),
            Action::Restart(grace) => {
                self.terminate(grace);
                self.start(reply);
            }
            Action::Shutdown => {
                self.stop(Grace::DEFAULT, reply);
                self.closing = true;
            }
        }
    }

    fn start(&mut self, reply: Reply) {
        wait(&mut self.starting, reply);
        match &self.process {
            None => self.spawn(),
            Some(process) if process.is_ending() => self.start_again = true,
            Some(process) if process.is_settling() => {}
            Some(_) => self.answer_starting(),
        }
    }

    fn stop(&mut self, grace: Grace, reply: Reply) {
        self.start_again = false;
        answer(&mut self.starting, &Err(SupervisorError::Superseded));
        wait(&mut self.stopping, reply);
        self.terminate(grace);
        if self.process.is_none() {
            self.answer_stopping();
        }
    }

    /// Nobody is left to give orders: as a shutdown that nobody waits for.
    fn close(&mut self) {
        self.start_again = false;
        self.closing = true;
        self.terminate(Grace::DEFAULT);
    }

    fn terminate(&mut self, grace: Grace) {
        if let Some(process) = &mut self.process {
            process.terminate(grace);
            self.publish(|_| {});
        }
    }

    fn spawn(&mut self) {
        match Process::start(&self.command, self.settle) {
            Ok(process) => {
                tracing::info!(
                    pid = process.pid(),
                    command = self.command.line(),
                    "fluentd started"
                );
                self.process = Some(process);
                self.publish(|status| {
                    status.starts += 1;
                    status.started = Some(Started::now());
                });
            }
            Err(source) => {
                let program = self.command.program().to_owned();
                let source = Arc::new(source);
                let error = SupervisorError::Spawn { program, source };
                tracing::warn!(%error, "fluentd not started");
                answer(&mut self.starting, &Err(error));
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Settled => self.answer_starting(),
            Event::Exited(exit) => self.exited(exit),
            Event::Gone => self.gone(),
            Event::Stuck => self.stuck(),
        }
    }

    fn exited(&mut self, exit: Exit) {
        let pid = self.process.as_ref().map(Process::pid);
        let cause = exit.cause.map(tracing::field::display);
        match exit.requested {
            true => tracing::info!(pid, cause, "fluentd stopped"),
            false => tracing::warn!(pid, cause, "fluentd ended by itself"),
        }
        self.publish(|status| status.last_exit = Some(exit));
    }

    fn gone(&mut self) {
        self.process = None;
        self.publish(|_| {});
        self.answer_stopping();
        match take(&mut self.start_again) {
            true => self.spawn(),
            false => self.answer_starting(),
        }
    }

    fn stuck(&mut self) {
        let Some(process) = &self.process else { return };
        let error = SupervisorError::Stuck { pid: process.pid() };
        // This may come again for hours: a line for everyone who is told, none for the rest.
        if !(self.starting.is_empty() && self.stopping.is_empty()) {
            tracing::warn!(%error, "fluentd not stopped");
        }
        let outcome = Err(error);
        self.start_again = false;
        answer(&mut self.starting, &outcome);
        answer(&mut self.stopping, &outcome);
        if self.closing {
            self.process = None;
        }
    }

    /// Changes the status, and its state to what the process is.
    fn publish(&self, change: impl FnOnce(&mut Status)) {
        let state = match &self.process {
            None => State::Stopped,
            Some(process) if process.is_ending() => State::Stopping { pid: process.pid() },
            Some(process) => State::Running { pid: process.pid() },
        };
        self.status.send_modify(|status| {
            change(status);
            status.state = state;
        });
    }

    fn answer_starting(&mut self) {
        let status = self.status.borrow().clone();
        answer(&mut self.starting, &Ok(status));
    }

    fn answer_stopping(&mut self) {
        let status = self.status.borrow().clone();
        answer(&mut self.stopping, &Ok(status));
    }
}

/// What becomes of the process next. Waits for ever while there is none.
async fn next_event(process: &mut Option<Process>) -> Event {
    match process {
        Some(process) => process.next().await,
        None => pending().await,
    }
}

/// Lets the caller wait for an outcome with the others, but for too many who still do.
fn wait(waiting: &mut Vec<Reply>, reply: Reply) {
    waiting.retain(|reply| !reply.is_closed());
    if waiting.len() < FLUENTD_MAX_WAITING {
        waiting.push(reply);
    } else {
        let _ = reply.send(Err(SupervisorError::Busy));
    }
}

/// Tells everyone who waits. A caller who is gone needs no answer.
fn answer(waiting: &mut Vec<Reply>, outcome: &Outcome) {
    for reply in waiting.drain(..) {
        let _ = reply.send(outcome.clone());
    }
}
