//! The thread that writes lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::queue::{Lot, Queue};
use crate::config::access_log::LogPlace;
use crate::limits::{ACCESS_LOG_PAUSE, LIMIT_LOG_INTERVAL};
use crate::observe::metrics::Metrics;

/// Where lines go.
pub(super) struct Writer {
    place: LogPlace,
    out: Box<dyn Write + Send>,
    /// Of the last line, a part may be there.
    is_torn: bool,
    metrics: Arc<Metrics>,
    /// When it was last said that they cannot be written.
    warned: Option<Instant>,
}

impl Writer {
    pub(super) fn open(place: LogPlace, metrics: Arc<Metrics>) -> io::Result<Self> {
        let out = opened(&place)?;
        Ok(Self { place, out, is_torn: false, metrics, warned: None })
    }

    /// Until nothing more may come. What comes is left to gather for a moment: to wake this thread for each line would cost a call
    /// more than the line itself.
    pub(super) fn run(mut self, queue: &Queue) {
        let mut lot = Lot::default();
        loop {
            let order = queue.take(&mut lot);
            if order.reopen {
                self.open_anew();
            }
            if lot.lines > 0
                && let Err(error) = self.write(&lot.bytes)
            {
                self.failed(lot.lines, &error);
            }
            if order.is_last {
                return;
            }
            std::thread::sleep(ACCESS_LOG_PAUSE);
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            // What follows is a line of its own.
            self.out.write_all(b"\n")?;
            self.is_torn = false;
        }
        self.out.write_all(lines)?;
        self.out.flush()
    }

    fn open_anew(&mut self) {
        match opened(&self.place) {
            Ok(out) => {
                (self.out, self.is_torn) = (out, false);
                info!("access log opened anew");
            }
            Err(error) => {
                warn!(%error, "the access log cannot be opened anew: it goes on where it was");
            }
        }
    }

    /// Lines are lost. They are not tried again: some of them may have been written.
    fn failed(&mut self, lines: u64, error: &io::Error) {
        self.is_torn = true;
        self.metrics.access_log_dropped(lines);
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now - warned >= LIMIT_LOG_INTERVAL) {
            self.warned = Some(now);
            warn!(%error, "the access log cannot be written: lines are lost");
        }
    }
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
