//! The table, and what it takes to keep the promise.

use std::fmt;

use crate::args::{Load, Table};
use crate::rows::Row;
use crate::sample::Sample;

/// The promise: beside an abuser, p99 is at most so many times what it is alone.
const RATIO: f64 = 1.5;
/// Less of a difference than this many milliseconds is noise, whatever the ratio.
const NOISE_MS: f64 = 0.3;
/// Memory has come back if it is within this share of what it was, and [`ROOM_KIB`].
const ROOM_SHARE: f64 = 1.2;
/// What an allocator keeps for itself.
const ROOM_KIB: u64 = 16 << 10;

/// p99 of no calls: the time that one may take, in milliseconds.
pub(crate) const NO_CALLS_MS: f64 = 1000.0;

/// The table goes between these lines of a file.
pub(crate) const MARKS: (&str, &str) = ("<!-- isolation: begin -->", "<!-- isolation: end -->");

/// What a row came to.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Windows without an abuser.
    pub(crate) alone: Vec<Sample>,
    /// Windows beside one, in turns with those.
    pub(crate) beside: Vec<Sample>,
    /// Calls between them.
    pub(crate) late: Sample,
    /// The hub's memory before the first abuser.
    pub(crate) before_kib: u64,
    /// The most of it beside one.
    pub(crate) during_kib: u64,
    /// What it came back to.
    pub(crate) after_kib: u64,
    /// What the hub may hold for one client connection, as it says.
    pub(crate) client_kib: u64,
    /// What all lanes may hold beyond that.
    pub(crate) lanes_kib: u64,
    /// What the last abuser has to tell.
    pub(crate) did: String,
    /// p99 alone and beside the abuser through the row's front, without a hub.
    pub(crate) without_hub: Option<(f64, f64)>,
    /// Calls that were answered `upstream-closed`: the upstream has ended the lanes of who made them.
    pub(crate) told: u64,
    /// What it would take to measure it.
    pub(crate) missing: Option<&'static str>,
    /// Why there is no result.
    pub(crate) broken: Option<String>,
}

impl Measured {
    /// What the hub may hold when all abusers are gone.
    pub(crate) fn room_kib(&self) -> u64 {
        (self.before_kib as f64 * ROOM_SHARE) as u64 + ROOM_KIB
    }

    /// Milliseconds of this share of the calls alone.
    pub(crate) fn alone(&self, share: f64) -> f64 {
        middle(&self.alone, share)
    }

    /// The same beside the abuser.
    pub(crate) fn beside(&self, share: f64) -> f64 {
        middle(&self.beside, share)
    }

    /// The most common reason why a call failed.
    fn failure(&self) -> Option<String> {
        let failures = self.failures().failures;
        failures.into_iter().max_by_key(|(_, count)| *count).map(|(reason, _)| reason)
    }

    fn failures(&self) -> Sample {
        let mut all = self.late.clone();
        self.alone.iter().chain(&self.beside).for_each(|sample| all.merge(sample));
        all
    }
}

/// What became of the promise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not for this row.
    Comparison,
    /// Not measured, and why.
    Missing(&'static str),
    /// Kept.
    Kept,
    /// p99 is higher, as it is beside who does no harm.
    Harmless(&'static str),
    /// Not kept, and each way in which it is not.
    Broken(Vec<String>),
}

impl Verdict {
    /// Of a row; `machine` is p99 beside the rows to compare with, and `None` for those.
    pub(crate) fn of(row: &Row, measured: &Measured, machine: Option<f64>) -> Self {
        let Some(machine) = machine else {
            return Self::Comparison;
        };
        if let Some(why) = measured.missing {
            return Self::Missing(why);
        }
        if let Some(broken) = &measured.broken {
            let failure = measured.failure();
            return Self::Broken([broken.clone()].into_iter().chain(failure).collect());
        }
        let (alone, beside) = (measured.alone(0.99), measured.beside(0.99));
        let slower = |than: f64| beside > than * RATIO && beside - than > NOISE_MS;
        let mut broken = broken_otherwise(row, measured);
        if slower(alone) && slower(machine) {
            broken.push("p99".to_owned());
        }
        match (broken.is_empty(), slower(alone)) {
            (false, _) => Self::Broken(broken),
            (true, true) if row.front.is_some() => Self::Harmless("it without a hub"),
            (true, true) if row.callers > 1 => Self::Harmless("ten callers"),
            (true, true) => Self::Harmless("a busy process"),
            (true, false) => Self::Kept,
        }
    }

    /// Whether there is nothing to complain of.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self, Self::Broken(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comparison => Ok(()),
            Self::Missing(why) => write!(f, "not measured: {why}"),
            Self::Kept => f.write_str("yes"),
            Self::Harmless(who) => write!(f, "as beside {who}"),
            Self::Broken(ways) => write!(f, "**no**: {}", ways.join("; ")),
        }
    }
}

/// Failures and memory.
fn broken_otherwise(row: &Row, measured: &Measured) -> Vec<String> {
    let mut ways = Vec::from_iter(measured.failure());
    let bound = measured.room_kib() + row.stalled * measured.client_kib + measured.lanes_kib;
    if row.stalled > 0 && measured.during_kib > bound {
        ways.push(format!("memory above {} MiB", bound >> 10));
    }
    if measured.after_kib > measured.room_kib() {
        ways.push("memory stays".to_owned());
    }
    ways
}

/// The middle one of the windows' quantiles: one window in which the machine was busy elsewhere does not
/// decide. Of no calls, the time that a call may take.
fn middle(windows: &[Sample], share: f64) -> f64 {
    let quantile = |sample: &Sample| sample.quantile(share).unwrap_or(NO_CALLS_MS);
    let mut all: Vec<_> = windows.iter().map(quantile).collect();
    all.sort_unstable_by(f64::total_cmp);
    match (all.get(all.len() / 2), all.get(all.len().saturating_sub(1) / 2)) {
        (Some(one), Some(other)) => f64::midpoint(*one, *other),
        _ => NO_CALLS_MS,
    }
}

/// The lines above the rows.
pub(crate) fn head(table: &Table) -> Vec<String> {
    let load = match table.load {
        Load::One => "one call at a time",
        Load::Four => "four calls at a time",
        Load::Paced => "200 calls a second",
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        format!(
            "{} pairs of windows of {} s each; the bystander makes {load}; {cores} cores.",
            table.pairs, table.seconds
        ),
        String::new(),
        "| abuse | p50 alone | p50 beside | p99 alone | p99 beside | ratio | calls beside | failed \
         | MiB before | during | after | kept | the abuser |"
            .to_owned(),
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"
            .to_owned(),
    ]
}

/// One row of it.
pub(crate) fn line(row: &Row, measured: &Measured, verdict: &Verdict) -> String {
    let words = row.words();
    if measured.beside.is_empty() {
        return format!("| {words} | | | | | | | | | | | {verdict} | |");
    }
    let (alone, beside) = (measured.alone(0.99), measured.beside(0.99));
    let (alone_50, beside_50) = (measured.alone(0.5), measured.beside(0.5));
    let calls: usize = measured.beside.iter().map(Sample::calls).sum();
    let failed = measured.failures().failed();
    let [before, during, after] = [measured.before_kib, measured.during_kib, measured.after_kib]
        .map(|kib| kib.div_ceil(1 << 10));
    format!(
        "| {words} | {alone_50:.2} | {beside_50:.2} | {alone:.2} | {beside:.2} | {:.2} | {calls} \
         | {failed} | {before} | {during} | {after} | {verdict} | {} |",
        beside / alone,
        did(measured),
    )
}

/// What the abuser has to tell, what the hub has told it of the upstream's guard, and what the front does alone.
fn did(measured: &Measured) -> String {
    let mut did = measured.did.clone();
    if measured.told > 0 {
        did += &format!(", {} × `upstream-closed` in all windows", measured.told);
    }
    if let Some((alone, beside)) = measured.without_hub {
        did += &format!("; without a hub p99 is {alone:.2} alone, {beside:.2} beside");
    }
    did
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the one place where the table is printed")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rows::ROWS;

    fn windows(millis: &[u64]) -> Vec<Sample> {
        let window = |millis: &u64| {
            let mut sample = Sample::default();
            sample.add(Ok(Duration::from_millis(*millis)));
            sample
        };
        millis.iter().map(window).collect()
    }

    fn verdict(alone: &[u64], beside: &[u64], machine: f64) -> Verdict {
        let (alone, beside) = (windows(alone), windows(beside));
        Verdict::of(&ROWS[0], &Measured { alone, beside, ..Measured::default() }, Some(machine))
    }

    #[test]
    fn p99_is_compared_with_the_middle_window_alone_and_with_the_machine() {
        assert_eq!(verdict(&[2, 2, 90], &[1, 3, 90], 0.0), Verdict::Kept);
        assert_eq!(verdict(&[2, 2, 2], &[4, 4, 4], 3.0), Verdict::Harmless("a busy process"));
        assert!(!verdict(&[2, 2, 2], &[4, 4, 4], 2.0).is_kept());
        assert!(!verdict(&[2], &[], 2.0).is_kept(), "no calls are no success");
    }

    #[test]
    fn failures_and_memory_break_it() {
        let mut measured =
            Measured { alone: windows(&[1]), beside: windows(&[1]), ..Measured::default() };
        let verdict = |measured: &Measured| Verdict::of(&ROWS[0], measured, Some(1.0));
        assert_eq!(verdict(&measured), Verdict::Kept);
        measured.after_kib = ROOM_KIB + 1;
        assert_eq!(verdict(&measured), Verdict::Broken(vec!["memory stays".into()]));
        measured.after_kib = 0;
        measured.during_kib = ROOM_KIB + ROWS[0].stalled + 1;
        measured.client_kib = 1;
        assert!(!verdict(&measured).is_kept());
        measured.during_kib -= 1;
        assert_eq!(verdict(&measured), Verdict::Kept);
        measured.late.add(Err("lost".into()));
        assert_eq!(verdict(&measured), Verdict::Broken(vec!["lost".into()]));
    }
}
