//! How far the peer of a WebSocket is.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::RTT_MEMORY;

/// The least round trip time of the last [`RTT_MEMORY`], or of the second half of it.
#[derive(Debug)]
pub(super) struct Rtt {
    /// When the newer half began.
    since: Instant,
    older: Option<Duration>,
    newer: Option<Duration>,
}

impl Rtt {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), older: None, newer: None }
    }

    /// One was measured. Returns the least.
    pub(super) fn measured(&mut self, rtt: Duration) -> Duration {
        let age = self.since.elapsed();
        if age >= RTT_MEMORY / 2 {
            self.older = self.newer.take().filter(|_| age < RTT_MEMORY);
            self.since = Instant::now();
        }
        let newer = self.newer.map_or(rtt, |least| least.min(rtt));
        self.newer = Some(newer);
        self.older.map_or(newer, |least| least.min(newer))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_least_is_forgotten_in_time() {
        let millis = Duration::from_millis;
        let mut rtt = Rtt::new();
        assert_eq!(rtt.measured(millis(20)), millis(20));
        assert_eq!(rtt.measured(millis(90)), millis(20), "a queue");
        assert_eq!(rtt.measured(millis(10)), millis(10));
        advance(RTT_MEMORY / 2).await;
        assert_eq!(rtt.measured(millis(90)), millis(10));
        advance(RTT_MEMORY / 2).await;
        assert_eq!(rtt.measured(millis(80)), millis(80), "the way has become longer");
        advance(RTT_MEMORY).await;
        assert_eq!(
            rtt.measured(millis(100)),
            millis(100),
            "after a silence nothing of before counts"
        );
    }
}
