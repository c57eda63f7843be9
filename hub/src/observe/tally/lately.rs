//! The last minutes of a name.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::observe::ending::{Ending, Kind};

/// The time that one value of a name's history is about: short enough that a change is seen as it happens.
pub(crate) const RECENT_STEP: Duration = Duration::from_secs(5);
/// Values of its history: five minutes.
const STEPS: usize = 60;
/// Steps by which rates are told: the last minute.
const RATE_STEPS: usize = 12;
/// A rate of less time than this would say little.
const RATE_LEAST: Duration = Duration::from_secs(1);
/// Of how long ago times are told at most, and half of it at least.
const SPREAD: Duration = Duration::from_secs(60);
/// Four of them double: a time is told to within an eighth. The last one is an hour.
const BUCKETS: usize = 4 * 32;

/// What happened in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) calls: u32,
    pub(crate) errors: u32,
    /// Of requests, and of answers.
    pub(crate) bytes: (u64, u64),
}

/// Of the last minute, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) calls: f64,
    pub(crate) errors: f64,
    pub(crate) bytes: (f64, f64),
}

/// What happened lately.
#[derive(Debug)]
pub(crate) struct Lately {
    began: Instant,
    /// Which step the last one is, counted from the beginning.
    now: u64,
    steps: VecDeque<Step>,
    /// Time to the head of unary calls' answers: in this half of the time, and in the one before.
    half: u64,
    spread: [[u32; BUCKETS]; 2],
}

impl Default for Lately {
    fn default() -> Self {
        let steps = VecDeque::from([Step::default()]);
        Self { began: Instant::now(), now: 0, steps, half: 0, spread: [[0; BUCKETS]; 2] }
    }
}

impl Lately {
    /// A call has ended, and so much of it has passed that was not told yet.
    pub(super) fn ended(&mut self, end: &Ending<'_>, request: u64, response: u64) {
        let age = end.ended.duration_since(self.began);
        let step = self.step(age);
        step.bytes = (step.bytes.0 + request, step.bytes.1 + response);
        step.calls = step.calls.saturating_add(1);
        step.errors = step.errors.saturating_add(u32::from(end.is_error()));
        if let (Kind::Unary, Some(head)) = (end.kind, end.head) {
            self.turn_halves(age);
            let count = &mut self.spread[0][bucket(head)];
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn moved(&mut self, request: u64, response: u64) {
        let step = self.step(self.began.elapsed());
        step.bytes = (step.bytes.0 + request, step.bytes.1 + response);
    }

    /// Oldest first; the last one is not over.
    pub(crate) fn steps(&mut self) -> impl Iterator<Item = Step> {
        self.step(self.began.elapsed());
        self.steps.iter().copied()
    }

    pub(crate) fn rates(&mut self) -> Rates {
        self.step(self.began.elapsed());
        let last = self.steps.iter().rev().take(RATE_STEPS);
        let first = self.now.saturating_sub(RATE_STEPS as u64 - 1);
        let begin = self.began + RECENT_STEP * u32::try_from(first).unwrap_or(u32::MAX);
        let seconds = begin.elapsed().max(RATE_LEAST).as_secs_f64();
        let mut rates = Rates::default();
        for step in last {
            rates.calls += f64::from(step.calls) / seconds;
            rates.errors += f64::from(step.errors) / seconds;
            rates.bytes.0 += step.bytes.0 as f64 / seconds;
            rates.bytes.1 += step.bytes.1 as f64 / seconds;
        }
        rates
    }

    /// The times within which such shares of the unary calls had the head of their answer; none, where there were none.
    pub(crate) fn quantiles<const N: usize>(&mut self, shares: [f64; N]) -> Option<[Duration; N]> {
        self.turn_halves(self.began.elapsed());
        let [now, before] = &self.spread;
        let count = |place: usize| u64::from(now[place]) + u64::from(before[place]);
        let all: u64 = (0..BUCKETS).map(count).sum();
        let quantile = |share: f64| {
            let rank = (all as f64 * share).ceil().max(1.0) as u64;
            let mut seen = 0;
            let place = (0..BUCKETS).find(|place| {
                seen += count(*place);
                seen >= rank
            });
            middle(place.unwrap_or(BUCKETS - 1))
        };
        (all > 0).then(|| shares.map(quantile))
    }

    /// The step that it is so long after the beginning.
    fn step(&mut self, age: Duration) -> &mut Step {
        // A call that is dropped with its runtime is told after tokio's clock has stopped, which may go back then.
        let now = (age.as_secs() / RECENT_STEP.as_secs()).max(self.now);
        let passed = usize::try_from(now - self.now).unwrap_or(usize::MAX);
        if passed >= STEPS {
            self.steps.clear();
        }
        self.steps.extend((0..passed.min(STEPS)).map(|_| Step::default()));
        self.steps.drain(..self.steps.len().saturating_sub(STEPS));
        self.now = now;
        if self.steps.is_empty() {
            self.steps.push_back(Step::default());
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// Forgets what is older than two halves.
    fn turn_halves(&mut self, age: Duration) {
        let half = age.as_secs() / (SPREAD.as_secs() / 2);
        match half.saturating_sub(self.half) {
            0 => return,
            1 => self.spread.swap(0, 1),
            _ => self.spread[1].fill(0),
        }
        self.spread[0].fill(0);
        self.half = half;
    }
}

/// By its highest bit and the two below that, in microseconds.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).clamp(4, u64::from(u32::MAX));
    let octave = micros.ilog2() as usize;
    let quarter = (micros >> (octave - 2)) as usize & 3;
    octave * 4 + quarter
}

/// The time in the middle of a bucket.
fn middle(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket / 4, bucket % 4);
    let least = ((4 + quarter) as f64) * 2_f64.powi(octave as i32 - 2);
    Duration::from_secs_f64((least + 2_f64.powi(octave as i32 - 3)) / 1e6)
}
