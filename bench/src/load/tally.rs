//! What became of the calls.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::call::Call;

/// Nanoseconds of the shortest and the longest latency that are told apart.
const BOUNDS: (u64, u64) = (1_000, 100_000_000_000);
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// Counts of calls, and how long they took.
pub(crate) struct Tally {
    calls: u64,
    reasons: BTreeMap<String, u64>,
    latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        let latency = Histogram::new_with_bounds(BOUNDS.0, BOUNDS.1, DIGITS)?;
        Ok(Self { calls: 0, reasons: BTreeMap::new(), latency })
    }

    /// Takes in how long a call took, or a message.
    pub(crate) fn took(&mut self, time: Duration) {
        self.latency.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes in a call that ended well.
    pub(crate) fn succeeded(&mut self) {
        self.calls += 1;
    }

    /// Takes in one that did not.
    pub(crate) fn failed(&mut self, reason: String) {
        *self.reasons.entry(reason).or_default() += 1;
    }

    /// Whether any has failed.
    pub(crate) fn has_failures(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// All of it: rates are of calls that succeeded.
    pub(crate) fn report(&self, call: &Call, connecting: Duration, calling: Duration) -> Value {
        let a_second = |count: f64| count / calling.as_secs_f64();
        let calls = self.calls as f64;
        let micros = |nanos: f64| (nanos / 100.0).round() / 10.0;
        let quantile = |share| micros(self.latency.value_at_quantile(share) as f64);
        json!({
            "calls": self.calls,
            "failed": self.reasons.values().sum::<u64>(),
            "reasons": self.reasons,
            "connect_seconds": connecting.as_secs_f64(),
            "seconds": calling.as_secs_f64(),
            "calls_per_s": a_second(calls),
            "messages_per_s": a_second(calls * f64::from(call.messages())),
            "bytes_per_s": a_second(calls * call.bytes() as f64),
            "latency_us": {
                "mean": micros(self.latency.mean()),
                "p50": quantile(0.5),
                "p90": quantile(0.9),
                "p99": quantile(0.99),
                "p999": quantile(0.999),
                "max": micros(self.latency.max() as f64),
            },
        })
    }
}
