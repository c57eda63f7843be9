//! The thread that writes lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use tokio::time::Instant;
use tracing::{info, warn};

use super::Told;
use crate::config::access_log::LogPlace;
use crate::limits::{ACCESS_LOG_BUFFER, ACCESS_LOG_PAUSE, LIMIT_LOG_INTERVAL};
use crate::observe::metrics::Metrics;

/// Where lines go.
pub(super) struct Writer {
    place: LogPlace,
    reopen: Arc<AtomicBool>,
    out: BufWriter<Box<dyn Write + Send>>,
    /// Lines that the file has not seen yet.
    unwritten: u64,
    /// All that have come so far.
    taken: u64,
    metrics: Arc<Metrics>,
    /// When it was last said that they cannot be written.
    warned: Option<Instant>,
}

impl Writer {
    pub(super) fn open(
        place: LogPlace,
        reopen: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let out = buffered(opened(&place)?);
        Ok(Self { place, reopen, out, unwritten: 0, taken: 0, metrics, warned: None })
    }

    /// Until nobody can send any more. What comes is left to gather for a moment: to wake this thread for each line would cost
    /// a call more than the line itself.
    pub(super) fn run(mut self, receiver: &Receiver<Told>) {
        while let Ok(told) = receiver.recv() {
            self.take(told);
            loop {
                std::thread::sleep(ACCESS_LOG_PAUSE);
                let before = self.taken;
                receiver.try_iter().for_each(|told| self.take(told));
                self.flush();
                if self.taken == before {
                    break;
                }
            }
        }
    }

    fn take(&mut self, told: Told) {
        if self.reopen.swap(false, Ordering::SeqCst) {
            self.flush();
            self.open_anew();
        }
        let Told::Line(line) = told else { return };
        self.unwritten += 1;
        self.taken += 1;
        if let Err(error) = self.out.write_all(&line) {
            self.failed(&error);
        }
    }

    fn flush(&mut self) {
        match self.out.flush() {
            Ok(()) => self.unwritten = 0,
            Err(error) => self.failed(&error),
        }
    }

    fn open_anew(&mut self) {
        match opened(&self.place) {
            Ok(out) => {
                self.out = buffered(out);
                info!("access log opened anew");
            }
            Err(error) => {
                warn!(%error, "the access log cannot be opened anew: it goes on where it was");
            }
        }
    }

    /// Lines are lost. They are not tried again: some of them may have been written.
    fn failed(&mut self, error: &io::Error) {
        self.metrics.access_log_dropped(std::mem::take(&mut self.unwritten));
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now - warned >= LIMIT_LOG_INTERVAL) {
            self.warned = Some(now);
            warn!(%error, "the access log cannot be written: lines are lost");
        }
        let out = std::mem::replace(&mut self.out, buffered(Box::new(io::sink())));
        // Without what it holds, which dropping it would write.
        self.out = buffered(out.into_parts().0);
        // Of the last one, a part may be there: what follows is a line of its own.
        let _ = self.out.write_all(b"\n");
    }
}

fn buffered(out: Box<dyn Write + Send>) -> BufWriter<Box<dyn Write + Send>> {
    BufWriter::with_capacity(ACCESS_LOG_BUFFER, out)
}

fn opened(place: &LogPlace) -> io::Result<Box<dyn Write + Send>> {
    Ok(match place {
        LogPlace::Stdout => Box::new(io::stdout()),
        LogPlace::File(path) => {
            let file: File = OpenOptions::new().create(true).append(true).open(path)?;
            Box::new(file)
        }
    })
}
