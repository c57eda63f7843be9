//! The access log: a line of JSON for each call, written by a thread of its own. A call never waits for it: where the disk is
//! slower than calls come, lines are lost, and counted.

mod line;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use self::writer::Writer;
use crate::config::access_log::AccessLogConfig;
use crate::limits::ACCESS_LOG_LINES;
use crate::observe::ending::Ending;
use crate::observe::metrics::Metrics;

/// What the thread is told.
enum Told {
    Line(Vec<u8>),
    /// Look whether the file is to be opened anew.
    Reopen,
}

/// It is written until it is closed.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sample: f64,
    sender: RwLock<Option<SyncSender<Told>>>,
    reopen: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Line(_)) { "Line" } else { "Reopen" })
    }
}

impl AccessLog {
    /// Opens it.
    ///
    /// # Errors
    /// The file cannot be opened or made, or the system has no thread left.
    pub(crate) fn open(config: &AccessLogConfig, metrics: Arc<Metrics>) -> io::Result<Self> {
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = Writer::open(config.to.clone(), reopen.clone(), metrics.clone())?;
        let (sender, receiver) = sync_channel(ACCESS_LOG_LINES);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = Mutex::new(Some(thread.spawn(move || writer.run(&receiver))?));
        Ok(Self {
            sample: config.sample,
            sender: RwLock::new(Some(sender)),
            reopen,
            thread,
            metrics,
        })
    }

    /// A call is over.
    pub(crate) fn write(&self, ending: &Ending<'_>) {
        let is_chosen = self.sample >= 1.0 || ending.is_error() || fastrand::f64() < self.sample;
        if is_chosen {
            self.send(Told::Line(line::of(ending)));
        }
    }

    /// The file may have been moved away: the next line goes to a new one of its name.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Ordering::SeqCst);
        // If the queue is full, the next line in it does.
        let _ = self.sender.read().as_ref().map(|sender| sender.try_send(Told::Reopen));
    }

    /// Writes what is on its way, and no more. It waits for the disk.
    pub(crate) fn close(&self) {
        *self.sender.write() = None;
        if let Some(thread) = self.thread.lock().take() {
            // It does not panic, and there would be nothing to do about it.
            let _ = thread.join();
        }
    }

    fn send(&self, told: Told) {
        let sent = self.sender.read().as_ref().map(|sender| sender.try_send(told));
        if let Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = sent {
            self.metrics.access_log_dropped(1);
        }
    }
}

#[cfg(test)]
mod tests;
