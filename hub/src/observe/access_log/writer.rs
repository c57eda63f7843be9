//! The thread that writes lines.

use std::fmt::Display;
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
            if order.lost > 0 {
                self.warn(order.lost, &"more come than can be written");
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
                // It may be the same file: an empty line at the beginning of a new one does no harm.
                self.out = out;
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
        self.warn(lines, error);
    }

    fn warn(&mut self, lines: u64, error: &dyn Display) {
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now - warned >= LIMIT_LOG_INTERVAL) {
            self.warned = Some(now);
            warn!(%error, lines, "lines of the access log are lost");
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// A disk that takes half of a line once, and is full then, for a while.
    struct Disk {
        written: Arc<Mutex<Vec<u8>>>,
        fails: u32,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.written.lock();
            if !written.is_empty() && self.fails > 0 {
                self.fails -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let len = if self.fails > 0 { bytes.len() / 2 } else { bytes.len() };
            written.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_follows_half_a_line_is_a_line_of_its_own() {
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let disk = Disk { written: written.clone(), fails: 2 };
        let metrics = Metrics::new();
        let (place, out) = (LogPlace::Stdout, Box::new(disk));
        let mut writer = Writer { place, out, is_torn: false, metrics, warned: None };
        for line in [&b"abcd\n"[..], b"lost\n"] {
            let error = writer.write(line).expect_err("it is full");
            writer.failed(1, &error);
        }
        for line in [&b"efgh\n"[..], b"ijkl\n"] {
            writer.write(line).expect("there is room again");
        }
        assert_eq!(String::from_utf8_lossy(&written.lock()), "ab\nefgh\nijkl\n");
    }
}
