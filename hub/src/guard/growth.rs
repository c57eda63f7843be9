//! How the window of one stream grows: see `growing_windows`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use crate::guard::frames::Head;
use crate::limits::{FIRST_RATE, FIRST_WINDOW, WINDOW_STEP};

/// What is due to the streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    due: Mutex<Due>,
    /// The peer pads its DATA. Padding counts against a window, and `h2` tells nobody of it: so such a peer
    /// is told the whole window at once.
    padded: AtomicBool,
}

#[derive(Debug, Default)]
struct Due {
    /// Stream and bytes.
    grants: Vec<(u32, u32)>,
    /// Streams that may be granted something.
    open: HashSet<u32>,
    /// Whoever drives the connection.
    driver: Option<Waker>,
}

impl Grants {
    /// A frame comes in.
    pub(crate) fn incoming(&self, frame: Head) {
        if frame.is_padded_data() {
            self.padded.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn open(&self, stream: u32) {
        self.due.lock().open.insert(stream);
    }

    /// Servers may take a WINDOW_UPDATE after RST_STREAM for a breach of the protocol (RFC 9113 5.1).
    pub(crate) fn close(&self, stream: u32) {
        let mut due = self.due.lock();
        if due.open.remove(&stream) {
            due.grants.retain(|(other, _)| *other != stream);
        }
    }

    pub(crate) fn grant(&self, stream: u32, bytes: u32) {
        let mut due = self.due.lock();
        if !due.open.contains(&stream) {
            return;
        }
        due.grants.push((stream, bytes));
        let driver = due.driver.take();
        drop(due);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    pub(crate) fn take(&self, driver: &Waker) -> Vec<(u32, u32)> {
        let mut due = self.due.lock();
        if !due.driver.as_ref().is_some_and(|known| known.will_wake(driver)) {
            due.driver = Some(driver.clone());
        }
        std::mem::take(&mut due.grants)
    }
}

/// One stream's window.
#[derive(Debug)]
pub(crate) struct Growth {
    grants: Arc<Grants>,
    stream: u32,
    /// What the peer has not been told of the whole window.
    owed: u32,
    /// What it is to be told next.
    gathered: u32,
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.grants.close(self.stream);
    }
}

impl Growth {
    /// Of a stream that may have `window` in all.
    pub(crate) fn new(grants: Arc<Grants>, stream: u32, window: u32) -> Self {
        grants.open(stream);
        Self { grants, stream, owed: window.saturating_sub(FIRST_WINDOW), gathered: 0 }
    }

    /// The whole window at once.
    pub(crate) fn whole(mut self) -> Self {
        self.gather(u32::MAX);
        self
    }

    /// The peer is as far away as this: what [`FIRST_RATE`] needs over such a link is granted at once.
    pub(crate) fn over(mut self, round_trip: Duration) -> Self {
        let needed = (round_trip.as_secs_f64() * f64::from(FIRST_RATE)) as u32;
        self.gather(needed.saturating_sub(FIRST_WINDOW));
        self
    }

    /// So many bytes were taken: as many may follow, and as many more.
    pub(crate) fn took(&mut self, bytes: usize) {
        if self.owed == 0 {
            return;
        }
        let padded = self.grants.padded.load(Ordering::Relaxed);
        let bytes = if padded { usize::MAX } else { bytes };
        self.gather(u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(2));
    }

    fn gather(&mut self, bytes: u32) {
        self.gathered = self.gathered.saturating_add(bytes).min(self.owed);
        if self.gathered >= WINDOW_STEP.min(self.owed) && self.gathered > 0 {
            self.grants.grant(self.stream, self.gathered);
            self.owed -= self.gathered;
            self.gathered = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::frames::DATA;

    fn granted(grants: &Grants) -> u32 {
        grants.take(Waker::noop()).iter().map(|(_, bytes)| bytes).sum()
    }

    #[test]
    fn a_window_grows_as_it_is_used_and_never_stalls() {
        const WHOLE: u32 = 8 * FIRST_WINDOW;
        for step in [1, 100, 16_384, 1 << 20] {
            let grants = Arc::<Grants>::default();
            let mut growth = Growth::new(grants.clone(), 1, WHOLE);
            assert_eq!(granted(&grants), 0);
            let (mut told, mut taken) = (FIRST_WINDOW, 0);
            while told < WHOLE {
                // The peer sends what it may, at most a step, and all of it is taken.
                let sent = step.min(told - taken);
                assert!(sent > 0, "stalled at {taken} of {told}, in steps of {step}");
                taken += sent;
                growth.took(sent as usize);
                told += granted(&grants);
            }
            assert_eq!(told, WHOLE, "in steps of {step}");
            assert!(taken < WHOLE, "in steps of {step}");
            growth.took(WHOLE as usize);
            assert_eq!(granted(&grants), 0);
        }
    }

    #[test]
    fn a_far_peer_gets_at_once_what_its_link_needs() {
        let granted_over = |milliseconds, window| {
            let grants = Arc::<Grants>::default();
            let growth = Growth::new(grants.clone(), 1, window);
            let _growth = growth.over(Duration::from_millis(milliseconds));
            granted(&grants)
        };
        assert_eq!(granted_over(0, 512 << 10), 0);
        assert_eq!(granted_over(20, 512 << 10), 200_000 - FIRST_WINDOW);
        assert_eq!(granted_over(1000, 512 << 10), (512 << 10) - FIRST_WINDOW);
        assert_eq!(granted_over(1000, FIRST_WINDOW), 0);
        assert_eq!(granted_over(1000, 65_535), 0);
    }

    #[test]
    fn a_peer_that_pads_has_the_whole_window() {
        let grants = Arc::<Grants>::default();
        let mut growth = Growth::new(grants.clone(), 1, 8 * FIRST_WINDOW);
        growth.took(1);
        assert_eq!(granted(&grants), 0);
        grants.incoming(Head { len: 9, kind: DATA, flags: 0x8, stream: 1 });
        growth.took(0);
        assert_eq!(granted(&grants), 7 * FIRST_WINDOW);
    }

    #[test]
    fn what_is_due_to_a_stream_that_is_over_is_not_said() {
        let grants = Arc::<Grants>::default();
        let growths = [1, 3].map(|stream| {
            let mut growth = Growth::new(grants.clone(), stream, 1 << 20);
            growth.took(WINDOW_STEP as usize);
            growth
        });
        let [first, _second] = growths;
        drop(first);
        assert_eq!(grants.take(Waker::noop()), [(3, 2 * WINDOW_STEP)]);
    }
}
