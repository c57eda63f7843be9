//! The supervisor: who starts and stops the process, and tells how it is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::actor::{Action, Actor, Order};
use super::{Command, Grace, Status};
use crate::limits::{FLUENTD_ORDERS, FLUENTD_SETTLE};

#[cfg(test)]
mod tests;

/// Supervises one process. Clones are handles to the same supervisor.
///
/// Orders may come at any time and from many at once, the last one wins. Each is carried out even if
/// whoever gave it does not wait for its outcome. The process is stopped when [`Self::shutdown`] is
/// called or the last handle is dropped, and killed when the runtime ends.
#[derive(Clone, Debug)]
pub struct Supervisor {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
}

/// Why an order could not be carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The system cannot run the program.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Stop was called before the start was through.
    #[error("a stop came before the start was through")]
    Superseded,
    /// The process, or one that it forked, does not end even though it was killed. The supervisor goes
    /// on waiting for it.
    #[error("process group {pid} was killed and has not ended yet")]
    Stuck {
        /// Its process id, which is also its group's.
        pid: u32,
    },
    /// The order is being carried out, but too many wait to hear how it goes.
    #[error("the order is taken, but too many callers wait for its outcome; ask for the status")]
    Busy,
    /// The supervisor has been shut down.
    #[error("the supervisor has been shut down")]
    Closed,
}

impl Supervisor {
    /// A supervisor for the command. Starts nothing yet.
    ///
    /// # Panics
    /// Outside a tokio runtime that has I/O and time enabled.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self::with_settle(command, FLUENTD_SETTLE)
    }

    fn with_settle(command: Command, settle: Duration) -> Self {
        let (orders, inbox) = mpsc::channel(FLUENTD_ORDERS);
        let (publish, status) = watch::channel(Status::stopped(command.line()));
        tokio::spawn(Actor::new(command, settle, inbox, publish).run());
        Self { orders, status }
    }

    /// How the process is at this moment. Never waits.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Starts the process unless it runs. While it is being stopped, waits for that and then starts.
    ///
    /// The status that it answers is of shortly after: a process that fails at once is stopped in it.
    ///
    /// # Errors
    /// The program cannot be run, a stop came in between, or see [`SupervisorError`].
    pub async fn start(&self) -> Result<Status, SupervisorError> {
        self.order(Action::Start).await
    }

    /// Stops the process and all it forked: asks them to end (SIGTERM), and kills them (SIGKILL) when
    /// they have not within `grace`. Answers when they are gone, at once if nothing runs. A stop while
    /// another is on its way can only shorten it.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn stop(&self, grace: Grace) -> Result<Status, SupervisorError> {
        self.order(Action::Stop(grace)).await
    }

    /// [`Self::stop`], then [`Self::start`].
    ///
    /// # Errors
    /// As those of the two.
    pub async fn restart(&self, grace: Grace) -> Result<Status, SupervisorError> {
        self.order(Action::Restart(grace)).await
    }

    /// Stops the process with [`Grace::DEFAULT`], for good: later orders fail. Returns when it is gone,
    /// or could not be made to go.
    pub async fn shutdown(&self) {
        // Whoever shuts down second is told that it is closed, which is as good.
        let _ = self.order(Action::Shutdown).await;
        self.orders.closed().await;
    }

    async fn order(&self, action: Action) -> Result<Status, SupervisorError> {
        let (reply, outcome) = oneshot::channel();
        let order = Order { action, reply };
        let sent = self.orders.send(order).await;
        sent.map_err(|_| SupervisorError::Closed)?;
        outcome.await.unwrap_or(Err(SupervisorError::Closed))
    }
}
