//! What became of the calls: of all, and of those that have ended since a mark.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What a call may outlive its deadline by.
const GRACE: Duration = Duration::from_secs(1);
/// Microseconds of the shortest and the longest latency that are told apart.
const BOUNDS: (u64, u64) = (1, 600_000_000);
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// What kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    Stream,
}

/// All of it.
pub(crate) struct Tally {
    next: u64,
    open: HashSet<u64>,
    /// Calls that were told to have ended when they had.
    twice: u64,
    /// Calls that ended longer after their deadline than [`GRACE`].
    late: u64,
    all: Window,
    marked: Window,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        let (all, marked) = (Window::new()?, Window::new()?);
        Ok(Self { next: 0, open: HashSet::new(), twice: 0, late: 0, all, marked })
    }

    /// A call begins; its id is no other's.
    pub(crate) fn begun(&mut self, kind: Kind) -> u64 {
        let call = self.next;
        self.next += 1;
        self.open.insert(call);
        self.each(|window| window.counts(kind).begun += 1);
        call
    }

    /// A call has ended: well, or why not.
    pub(crate) fn ended(
        &mut self,
        kind: Kind,
        call: u64,
        begun: Instant,
        deadline: Instant,
        how: Result<(), String>,
    ) {
        let now = Instant::now();
        self.twice += u64::from(!self.open.remove(&call));
        self.late += u64::from(now > deadline + GRACE);
        self.each(|window| window.ended(kind, begun, now, &how));
    }

    /// A call is made again.
    pub(crate) fn retried(&mut self, why: &'static str) {
        self.each(|window| *window.retried.entry(why).or_default() += 1);
    }

    /// A message of a stream was so long away.
    pub(crate) fn message(&mut self, took: Duration) {
        self.each(|window| window.longest_message = window.longest_message.max(took));
    }

    /// The watch of the hub's health was answered, or has ended.
    pub(crate) fn watch(&mut self, what: String) {
        self.each(|window| *window.watch.entry(what.clone()).or_default() += 1);
    }

    /// From now on counts anew, besides.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn mark(&mut self) -> Result<()> {
        self.marked = Window::new()?;
        Ok(())
    }

    /// What has ended since the last mark.
    pub(crate) fn since_mark(&self) -> Value {
        self.marked.report()
    }

    /// Whether no call was lost, and each has ended as it should.
    pub(crate) fn is_good(&self) -> bool {
        let lost = self.all.unary.lost() + self.all.streams.lost();
        lost + self.twice + self.late + self.open.len() as u64 == 0
    }

    /// All of it.
    pub(crate) fn report(&self) -> Value {
        let mut report = self.all.report();
        report["ended_twice"] = self.twice.into();
        report["late"] = self.late.into();
        report["open"] = self.open.len().into();
        report
    }

    fn each(&mut self, mut tell: impl FnMut(&mut Window)) {
        tell(&mut self.all);
        tell(&mut self.marked);
    }
}

/// Calls of one kind.
#[derive(Default)]
struct Counts {
    begun: u64,
    ok: u64,
    lost: BTreeMap<String, u64>,
}

impl Counts {
    fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    fn report(&self) -> Value {
        let lost = self.lost();
        json!({"begun": self.begun, "ok": self.ok, "lost": lost, "why": self.lost})
    }
}

/// Since some time.
struct Window {
    start: Instant,
    unary: Counts,
    streams: Counts,
    retried: BTreeMap<&'static str, u64>,
    watch: BTreeMap<String, u64>,
    /// When the first call was lost.
    first_lost: Option<Instant>,
    /// When the last one that was lost had begun: all that began later went well.
    last_lost_begun: Option<Instant>,
    last_ok: Instant,
    /// Without a unary call that went well.
    longest_gap: Duration,
    longest_message: Duration,
    /// Of unary calls that went well, in microseconds.
    latency: Histogram<u64>,
}

impl Window {
    fn new() -> Result<Self> {
        let now = Instant::now();
        Ok(Self {
            start: now,
            unary: Counts::default(),
            streams: Counts::default(),
            retried: BTreeMap::new(),
            watch: BTreeMap::new(),
            first_lost: None,
            last_lost_begun: None,
            last_ok: now,
            longest_gap: Duration::ZERO,
            longest_message: Duration::ZERO,
            latency: Histogram::new_with_bounds(BOUNDS.0, BOUNDS.1, DIGITS)?,
        })
    }

    fn counts(&mut self, kind: Kind) -> &mut Counts {
        match kind {
            Kind::Unary => &mut self.unary,
            Kind::Stream => &mut self.streams,
        }
    }

    fn ended(&mut self, kind: Kind, begun: Instant, now: Instant, how: &Result<(), String>) {
        let counts = self.counts(kind);
        if let Err(why) = how {
            *counts.lost.entry(why.clone()).or_default() += 1;
            self.first_lost.get_or_insert(now);
            self.last_lost_begun = self.last_lost_begun.max(Some(begun));
            return;
        }
        counts.ok += 1;
        if kind == Kind::Unary {
            self.longest_gap = self.longest_gap.max(now - self.last_ok);
            self.last_ok = now;
            let took = u64::try_from((now - begun).as_micros()).unwrap_or(u64::MAX);
            self.latency.saturating_record(took);
        }
    }

    fn report(&self) -> Value {
        let millis = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        let at = |time: Option<Instant>| {
            time.map(|time| millis(time.saturating_duration_since(self.start)))
        };
        let quantile = |share| self.latency.value_at_quantile(share) as f64 / 1000.0;
        json!({
            "seconds": self.start.elapsed().as_secs_f64(),
            "unary": self.unary.report(),
            "streams": self.streams.report(),
            "retried": self.retried,
            "watch": self.watch,
            "first_lost_ms": at(self.first_lost),
            "last_lost_begun_ms": at(self.last_lost_begun),
            "since_ok_ms": millis(self.last_ok.elapsed()),
            "longest_gap_ms": millis(self.longest_gap.max(self.last_ok.elapsed())),
            "longest_message_ms": millis(self.longest_message),
            "latency_ms": {
                "p50": quantile(0.5),
                "p99": quantile(0.99),
                "max": self.latency.max() as f64 / 1000.0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lost() -> Result<(), String> {
        Err("why".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_counts_from_then_on_and_the_whole_goes_on() {
        let mut tally = Tally::new().unwrap();
        let begun = Instant::now();
        let (one, two) = (tally.begun(Kind::Unary), tally.begun(Kind::Unary));
        tally.ended(Kind::Unary, one, begun, begun + SECOND, lost());
        advance(SECOND).await;
        tally.mark().unwrap();
        advance(SECOND).await;
        tally.ended(Kind::Unary, two, begun + SECOND, begun + 2 * SECOND, Ok(()));
        let (all, since) = (tally.report(), tally.since_mark());
        assert_eq!((&all["unary"]["ok"], &all["unary"]["lost"]), (&json!(1), &json!(1)));
        assert_eq!((&since["unary"]["ok"], &since["unary"]["lost"]), (&json!(1), &json!(0)));
        assert_eq!(since["first_lost_ms"], Value::Null);
        assert_eq!(
            (&all["longest_gap_ms"], &all["latency_ms"]["p50"]),
            (&json!(2000.0), &json!(1000.447))
        );
        assert!(!tally.is_good());
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_twice_late_or_never_is_told() {
        let mut tally = Tally::new().unwrap();
        let begun = Instant::now();
        let (one, late) = (tally.begun(Kind::Unary), tally.begun(Kind::Stream));
        tally.begun(Kind::Stream);
        tally.ended(Kind::Unary, one, begun, begun, Ok(()));
        tally.ended(Kind::Unary, one, begun, begun, Ok(()));
        advance(SECOND * 2).await;
        tally.ended(Kind::Stream, late, begun, begun, Ok(()));
        let report = tally.report();
        let told = ["ended_twice", "late", "open"].map(|key| report[key].clone());
        assert_eq!(told, [json!(1), json!(1), json!(1)]);
        assert!(!tally.is_good());
    }

    #[tokio::test(start_paused = true)]
    async fn served_again_is_when_all_that_begins_goes_well() {
        let mut tally = Tally::new().unwrap();
        let start = Instant::now();
        for begins in [3, 1, 2] {
            let call = tally.begun(Kind::Unary);
            advance(SECOND).await;
            tally.ended(Kind::Unary, call, start + SECOND * begins, start + SECOND * 60, lost());
        }
        let report = tally.report();
        assert_eq!(
            (&report["first_lost_ms"], &report["last_lost_begun_ms"]),
            (&json!(1000.0), &json!(3000.0))
        );
    }
}
