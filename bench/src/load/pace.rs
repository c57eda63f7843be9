//! When calls are made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// Calls that an open loop may have begun and not ended: seconds of a rate that nobody here can keep up with.
pub(crate) const IN_FLIGHT: usize = 20_000;

/// The calls that are still to be made.
pub(crate) struct Left {
    calls: AtomicU64,
    until: Option<Instant>,
}

impl Left {
    /// So many, or as many as begin within so long, or without either no end.
    pub(crate) fn new(calls: Option<u64>, length: Option<Duration>) -> Self {
        let until = length.map(|length| Instant::now() + length);
        Self { calls: AtomicU64::new(calls.unwrap_or(u64::MAX)), until }
    }

    /// Whether one more is to be made at this time.
    pub(crate) fn take(&self, at: Instant) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.until.is_none_or(|until| at < until)
            && self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

/// Makes calls at fixed times, whatever becomes of those before, and tells each when it was due. Returns when all have
/// ended; fails if too many have not.
pub(crate) async fn open<F: Future<Output = ()> + Send + 'static>(
    rate: u32,
    left: &Left,
    mut wait: impl AsyncFnMut(Instant),
    mut call: impl FnMut(Instant) -> F,
) -> Result<(), String> {
    const SECOND: u64 = 1_000_000_000;
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0.. {
        let due = start + Duration::from_nanos(number * SECOND / u64::from(rate));
        if !left.take(due) {
            break;
        }
        wait(due).await;
        while calls.try_join_next().is_some() {}
        if calls.len() >= IN_FLIGHT {
            return Err(format!("{IN_FLIGHT} calls are in flight: nobody keeps up with this rate"));
        }
        calls.spawn(call(due));
    }
    while calls.join_next().await.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::time::{sleep, sleep_until};

    use super::*;

    /// Milliseconds after the start at which calls of this length were due, and what they were told to have taken.
    async fn paced(rate: u32, left: Left, length: Duration) -> Vec<(u128, u128)> {
        let (start, seen) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
        let call = |due: Instant| {
            let seen = seen.clone();
            async move {
                sleep(length).await;
                seen.lock().push(((due - start).as_millis(), due.elapsed().as_millis()));
            }
        };
        open(rate, &left, sleep_until, call).await.unwrap();
        seen.lock().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_calls_do_not_hold_back_those_that_are_due() {
        let left = Left::new(Some(4), None);
        let seen = paced(100, left, Duration::from_secs(1)).await;
        assert_eq!(seen, [(0, 1000), (10, 1000), (20, 1000), (30, 1000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_begins_late_has_waited_since_it_was_due() {
        let late = async |due: Instant| {
            sleep_until(due.max(Instant::now()) + Duration::from_millis(30)).await
        };
        let took = Arc::new(Mutex::new(Vec::new()));
        let call = |due: Instant| {
            let took = took.clone();
            async move { took.lock().push(due.elapsed().as_millis()) }
        };
        open(100, &Left::new(Some(3), None), late, call).await.unwrap();
        assert_eq!(*took.lock(), [30, 50, 70]);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_begin_within_a_length() {
        let left = Left::new(None, Some(Duration::from_millis(50)));
        assert_eq!(paced(100, left, Duration::ZERO).await.len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_in_flight_are_a_failure() {
        let left = Left::new(None, None);
        let result = open(1_000_000, &left, sleep_until, |_| pending()).await;
        assert!(result.is_err_and(|error| error.contains("in flight")));
    }
}
