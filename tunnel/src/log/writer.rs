//! Writes log lines on a thread of its own, so that nobody waits for whoever reads them.
//!
//! Standard error may be a pipe that is read slowly, or not at all. A line that finds the queue full is
//! lost, and the next one that gets through is preceded by how many were.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing_subscriber::fmt::MakeWriter;

use crate::limits::{LOG_FLUSH_TIMEOUT, LOG_QUEUE};

/// Where the lines go in.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    lines: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// To be dropped once everything before it is written.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread, which writes to `out`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, queue) = sync_channel(LOG_QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Self { lines, lost: lost.clone() };
        let thread = std::thread::Builder::new().name("log".into());
        thread.spawn(move || write_lines(&queue, &lost, out))?;
        Ok(writer)
    }

    /// Waits until what was logged is written, for a moment at most.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(0);
        let lines = self.lines.clone();
        // A thread, because there may be no place in the queue, ever.
        let waiter = std::thread::Builder::new().spawn(move || lines.send(Entry::Flush(done)));
        if waiter.is_ok() {
            // Fails either way: the sender is dropped when it is done.
            let _ = written.recv_timeout(LOG_FLUSH_TIMEOUT);
        }
    }
}

fn write_lines(queue: &Receiver<Entry>, lost: &AtomicU64, mut out: impl Write) {
    while let Ok(entry) = queue.recv() {
        let line = match entry {
            Entry::Line(line) => line,
            Entry::Flush(done) => {
                drop(done);
                continue;
            }
        };
        let missing = lost.swap(0, Ordering::Relaxed);
        // Nobody is left to tell if standard error is closed.
        if missing > 0 {
            let _ = writeln!(out, "{missing} log lines were lost: nobody reads them fast enough");
        }
        let _ = out.write_all(&line);
    }
}

/// One line: `tracing` writes it in one piece.
#[derive(Debug)]
pub(crate) struct Line<'w>(&'w LogWriter);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.lines.try_send(Entry::Line(bytes.to_vec())).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Line<'w> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Takes each line when it is let through.
    struct Gate {
        open: Receiver<()>,
        out: std::sync::mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.open.recv();
            let _ = self.out.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_and_what_is_lost_is_told() {
        let (open, gate) = channel();
        let (out, written) = channel();
        let log = LogWriter::start(Gate { open: gate, out }).expect("a thread");
        for _ in 0..LOG_QUEUE + 10 {
            log.make_writer().write_all(b"line\n").expect("never fails");
        }
        drop(open);
        log.flush();
        let text: String = written.try_iter().collect();
        // One may have been taken out of the queue before it was full.
        assert!(text.contains("9 log lines were lost") || text.contains("10 log lines"), "{text}");
        assert!(text.matches("line\n").count() >= LOG_QUEUE, "{}", text.len());
    }
}
