//! Latencies of calls, and why calls failed.

use std::collections::BTreeMap;
use std::time::Duration;

/// What one window, or several, has seen.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Microseconds of each call that was answered well.
    micros: Vec<u32>,
    /// How often a call failed, by reason.
    pub failures: BTreeMap<String, u64>,
}

impl Sample {
    /// Takes a call in.
    pub fn add(&mut self, call: Result<Duration, String>) {
        match call {
            Ok(took) => self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)),
            Err(reason) => *self.failures.entry(reason).or_default() += 1,
        }
    }

    /// Takes in all that another has.
    pub fn merge(&mut self, other: &Self) {
        self.micros.extend_from_slice(&other.micros);
        for (reason, count) in &other.failures {
            *self.failures.entry(reason.clone()).or_default() += count;
        }
    }

    /// How many calls were answered well.
    pub fn calls(&self) -> usize {
        self.micros.len()
    }

    /// How many were not.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Milliseconds below which this share of the calls stayed; `None` without any.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        // Of a share between 0 and 1 this is an index.
        let index = (last as f64 * share).round() as usize;
        Some(f64::from(sorted[index.min(last)]) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_calls() {
        let mut sample = Sample::default();
        assert_eq!(sample.quantile(0.5), None);
        for millis in [5, 1, 2, 3, 4] {
            sample.add(Ok(Duration::from_millis(millis)));
        }
        assert_eq!([0.0, 0.5, 1.0].map(|share| sample.quantile(share)), [1.0, 3.0, 5.0].map(Some));
    }

    #[test]
    fn failures_are_counted_by_reason() {
        let mut sample = Sample::default();
        sample.add(Err("lost".into()));
        let mut both = sample.clone();
        both.merge(&sample);
        assert_eq!((both.failed(), both.calls()), (2, 0));
    }
}
