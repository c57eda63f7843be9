//! The access log: a line of JSON for each call, written by a thread of its own. A call never waits for it: where the disk is
//! slower than calls come, lines are lost, and counted.

mod line;
mod queue;
mod writer;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use self::queue::Queue;
use self::writer::Writer;
use crate::config::access_log::AccessLogConfig;
use crate::observe::ending::Ending;
use crate::observe::metrics::Metrics;

/// It is written until it is closed.
#[derive(Debug)]
pub(crate) struct AccessLog {
    sample: f64,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
}

impl AccessLog {
    /// Opens it.
    ///
    /// # Errors
    /// The file cannot be opened or made, or the system has no thread left.
    pub(crate) fn open(config: &AccessLogConfig, metrics: Arc<Metrics>) -> io::Result<Self> {
        let writer = Writer::open(config.to.clone(), metrics.clone())?;
        let queue = Arc::new(Queue::default());
        let lines = queue.clone();
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = Mutex::new(Some(thread.spawn(move || writer.run(&lines))?));
        Ok(Self { sample: config.sample, queue, thread, metrics })
    }

    /// A call is over.
    pub(crate) fn write(&self, ending: &Ending<'_>) {
        let is_chosen = self.sample >= 1.0 || ending.is_error() || fastrand::f64() < self.sample;
        if is_chosen && !self.queue.put(&line::of(ending)) {
            self.metrics.access_log_dropped(1);
        }
    }

    /// The file may have been moved away: lines go to a new one of its name.
    pub(crate) fn reopen(&self) {
        self.queue.reopen();
    }

    /// Writes what is on its way, and no more. It waits for the disk.
    pub(crate) fn close(&self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take() {
            // It does not panic, and there would be nothing to do about it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
