//! Lines on their way to the disk: calls put them here, and one thread takes all that there are.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use crate::limits::{ACCESS_LOG_KEPT, ACCESS_LOG_WAITING};

/// It is held for as long as it takes to copy a line, and beyond [`ACCESS_LOG_KEPT`] now and then all that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    come: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Lot,
    /// Lines for which there was no room since the last lot was taken.
    lost: u64,
    second: Second,
    /// The file is to be opened anew.
    reopen: bool,
    is_closed: bool,
}

/// Some lines.
#[derive(Debug)]
pub(super) struct Lot {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

impl Default for Lot {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(ACCESS_LOG_KEPT), lines: 0 }
    }
}

/// The time of a line, and what is around it.
const TIME: usize = r#"{"time":"2026-03-01T12:00:00.123456Z""#.len();

/// What the thread is to do, beside writing what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Before, to open the file anew.
    pub(super) reopen: bool,
    /// To say that so many lines are lost.
    pub(super) lost: u64,
    /// Afterwards, to end.
    pub(super) is_last: bool,
}

impl Queue {
    /// Puts a line, with its time before it, so that they are in order. Returns whether there was room.
    pub(super) fn put(&self, line: &[u8]) -> bool {
        let mut state = self.state.lock();
        let State { waiting, lost, second, is_closed, .. } = &mut *state;
        if *is_closed || waiting.bytes.len() + TIME + line.len() > ACCESS_LOG_WAITING {
            *lost += 1;
            return false;
        }
        waiting.bytes.extend_from_slice(b"{\"time\":\"");
        second.put(SystemTime::now(), &mut waiting.bytes);
        waiting.bytes.push(b'"');
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        let is_first = waiting.lines == 1;
        drop(state);
        if is_first {
            self.come.notify_one();
        }
        true
    }

    pub(super) fn reopen(&self) {
        self.state.lock().reopen = true;
        self.come.notify_one();
    }

    /// Nothing more may come.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.come.notify_one();
    }

    /// Waits until there is something to do, and takes all lines, for others that were written.
    pub(super) fn take(&self, lot: &mut Lot) -> Order {
        lot.bytes.clear();
        lot.bytes.shrink_to(ACCESS_LOG_KEPT);
        lot.lines = 0;
        let mut state = self.state.lock();
        self.come.wait_while(&mut state, |state| {
            state.waiting.lines == 0 && !state.reopen && !state.is_closed
        });
        std::mem::swap(&mut state.waiting, lot);
        let (reopen, lost) = (std::mem::take(&mut state.reopen), std::mem::take(&mut state.lost));
        Order { reopen, lost, is_last: state.is_closed }
    }
}

/// The second it is, in words: it takes many calls to get to the next.
#[derive(Debug, Default)]
struct Second {
    /// Since 1970.
    number: u64,
    words: String,
}

impl Second {
    /// Writes a time as RFC 3339 has it, in microseconds.
    fn put(&mut self, now: SystemTime, bytes: &mut Vec<u8>) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.number != since.as_secs() || self.words.is_empty() {
            self.number = since.as_secs();
            self.words = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
            self.words.truncate(self.words.len() - "Z".len());
        }
        // Memory takes whatever is written.
        let _ = write!(bytes, "{}.{:06}Z", self.words, since.subsec_micros());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_their_second() {
        let mut second = Second::default();
        for (micros, words) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_772_366_400_123_456, "2026-03-01T12:00:00.123456Z"),
            (1_772_366_400_999_999, "2026-03-01T12:00:00.999999Z"),
            (1_772_366_401_000_007, "2026-03-01T12:00:01.000007Z"),
            (1_772_366_400_500_000, "2026-03-01T12:00:00.500000Z"),
        ] {
            let mut bytes = Vec::new();
            second.put(UNIX_EPOCH + Duration::from_micros(micros), &mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), words);
        }
    }

    #[test]
    fn lines_beyond_the_bound_are_not_taken() {
        let (queue, line) = (Queue::default(), vec![b'x'; ACCESS_LOG_WAITING / 4]);
        let taken = (0..10).filter(|_| queue.put(&line)).count();
        assert_eq!(taken, 3, "with their times");
        let mut lot = Lot::default();
        assert_eq!(queue.take(&mut lot), Order { reopen: false, lost: 7, is_last: false });
        assert_eq!(lot.lines, 3);
        assert_eq!(lot.bytes.len(), 3 * (TIME + line.len()));
        assert!(queue.put(&line), "there is room again");
        queue.reopen();
        queue.close();
        assert!(!queue.put(&line));
        assert_eq!(queue.take(&mut lot), Order { reopen: true, lost: 1, is_last: true });
        assert_eq!(lot.lines, 1);
    }
}
