//! Spans that the collector did not take, as the log tells of them.

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::otlp::OtlpEndpoint;
use crate::limits::{LIMIT_LOG_INTERVAL, SPANS_WORDS};

/// One line an interval, however many are lost, and one when it takes them again.
#[derive(Debug)]
pub(super) struct Losses {
    collector: OtlpEndpoint,
    untold: Mutex<Untold>,
}

/// When it was last said that some are lost, how many were since, and whether that is over.
#[derive(Debug, Default)]
struct Untold {
    told: Option<Instant>,
    spans: usize,
    is_on: bool,
}

impl Losses {
    pub(super) fn new(collector: OtlpEndpoint) -> Self {
        Self { collector, untold: Mutex::default() }
    }

    /// So many.
    pub(super) fn more(&self, spans: usize, why: &str) {
        let Some(spans) = self.untold.lock().more(spans, Instant::now()) else {
            return;
        };
        let (collector, error) = (self.collector.uri(), line(why));
        warn!(%collector, spans, %error, "the collector does not take spans: they are lost");
    }

    /// A lot was taken.
    pub(super) fn none(&self) {
        if std::mem::take(&mut self.untold.lock().is_on) {
            info!(collector = %self.collector.uri(), "the collector takes spans again");
        }
    }
}

impl Untold {
    /// How many there are to tell of, if it is time to.
    fn more(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.spans += spans;
        if self.told.is_some_and(|told| now - told < LIMIT_LOG_INTERVAL) {
            return None;
        }
        (self.told, self.is_on) = (Some(now), true);
        Some(std::mem::take(&mut self.spans))
    }
}

/// The first of what a collector says, which may be anything.
fn line(words: &str) -> String {
    let words = words.chars().take(SPANS_WORDS);
    words.map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_an_interval_with_all_that_are_lost() {
        let mut untold = Untold::default();
        assert_eq!(untold.more(3, Instant::now()), Some(3));
        assert_eq!(untold.more(4, Instant::now()), None);
        tokio::time::advance(LIMIT_LOG_INTERVAL).await;
        assert_eq!(untold.more(5, Instant::now()), Some(9));
    }

    #[test]
    fn one_line() {
        assert_eq!(line("no\nroom"), "no room");
        assert_eq!(line(&"é".repeat(10_000)).chars().count(), SPANS_WORDS);
    }
}
