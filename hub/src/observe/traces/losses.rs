//! Spans that the collector did not take, as the log tells of them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::otlp::OtlpEndpoint;
use crate::limits::{LIMIT_LOG_INTERVAL, SPANS_WORDS};
use crate::observe::metrics::Metrics;

/// They are counted. The log has one line an interval, however many are lost, and one when it takes them again.
#[derive(Debug)]
pub(super) struct Losses {
    collector: OtlpEndpoint,
    metrics: Arc<Metrics>,
    untold: Mutex<Untold>,
}

/// What the log does not have yet.
#[derive(Debug, Default)]
struct Untold {
    /// When it was last said that some are lost.
    told: Option<Instant>,
    /// How many were since.
    spans: usize,
    /// Whether it has yet to be said that this is over.
    is_on: bool,
}

impl Losses {
    pub(super) fn new(collector: OtlpEndpoint, metrics: Arc<Metrics>) -> Self {
        Self { collector, metrics, untold: Mutex::default() }
    }

    /// So many.
    pub(super) fn more(&self, spans: usize, why: &str) {
        self.metrics.spans_dropped(spans as u64);
        let Some(spans) = self.untold.lock().more(spans, Instant::now()) else {
            return;
        };
        let (collector, error) = (self.collector.uri(), line(why));
        warn!(%collector, spans, %error, "the collector does not take spans: they are lost");
    }

    /// A lot was taken.
    pub(super) fn none(&self) {
        let Some(spans) = self.untold.lock().none(Instant::now()) else {
            return;
        };
        let (collector, lost) = (self.collector.uri(), (spans > 0).then_some(spans));
        info!(%collector, lost, "the collector takes spans again");
    }
}

impl Untold {
    /// How many there are to tell of, if it is time to.
    fn more(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.spans += spans;
        if !self.is_time(now) {
            return None;
        }
        (self.told, self.is_on) = (Some(now), true);
        Some(std::mem::take(&mut self.spans))
    }

    /// How many more there were, if it is to be said that this is over. Those of an outage that was too short after another one to
    /// have lines of its own are told of once it is time to.
    fn none(&mut self, now: Instant) -> Option<usize> {
        if !self.is_on {
            if self.spans == 0 || !self.is_time(now) {
                return None;
            }
            self.told = Some(now);
        }
        self.is_on = false;
        Some(std::mem::take(&mut self.spans))
    }

    fn is_time(&self, now: Instant) -> bool {
        self.told.is_none_or(|told| now - told >= LIMIT_LOG_INTERVAL)
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

    #[tokio::test(start_paused = true)]
    async fn the_last_line_has_those_that_none_had() {
        let mut untold = Untold::default();
        assert_eq!(untold.none(Instant::now()), None);
        untold.more(3, Instant::now());
        assert_eq!(untold.none(Instant::now()), Some(0));
        assert_eq!(untold.none(Instant::now()), None);
        tokio::time::advance(LIMIT_LOG_INTERVAL).await;
        untold.more(3, Instant::now());
        untold.more(4, Instant::now());
        assert_eq!(untold.none(Instant::now()), Some(4));
        // It begins and ends between two lines.
        untold.more(5, Instant::now());
        assert_eq!(untold.none(Instant::now()), None);
        tokio::time::advance(LIMIT_LOG_INTERVAL).await;
        assert_eq!(untold.none(Instant::now()), Some(5));
        assert_eq!(untold.none(Instant::now()), None);
    }

    #[test]
    fn one_line() {
        assert_eq!(line("no\nroom"), "no room");
        assert_eq!(line(&"é".repeat(10_000)).chars().count(), SPANS_WORDS);
    }
}
