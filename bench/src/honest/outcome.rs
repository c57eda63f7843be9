//! What a row comes to, and the table of all.

use std::fmt;

use bench::sample::Sample;

use crate::args::Table;

/// The table goes between these lines of a file.
pub(crate) const MARKS: (&str, &str) = ("<!-- honest: begin -->", "<!-- honest: end -->");

/// What a row came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the caller saw who called the server itself.
    pub(crate) direct: String,
    /// What the one saw who called through the hub.
    pub(crate) hub: String,
    pub(crate) verdict: Verdict,
}

/// Whether the hub was noticed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not measured, and why.
    Missing(String),
    /// As direct.
    Kept,
    /// Not as direct, and each way in which it is not.
    Broken(Vec<String>),
}

impl Verdict {
    /// Kept, if there is no way in which it is not.
    pub(crate) fn of(ways: Vec<String>) -> Self {
        if ways.is_empty() { Self::Kept } else { Self::Broken(ways) }
    }

    /// Whether there is nothing to complain of.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self, Self::Broken(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) => write!(f, "not measured: {why}"),
            Self::Kept => f.write_str("yes"),
            Self::Broken(ways) => write!(f, "**no**: {}", ways.join("; ")),
        }
    }
}

impl Outcome {
    /// Of a row that was not measured.
    pub(crate) fn missing(why: &str) -> Self {
        Self::without(Verdict::Missing(why.to_owned()))
    }

    /// Of a row that came to nothing.
    pub(crate) fn broken(why: String) -> Self {
        Self::without(Verdict::Broken(vec![why]))
    }

    fn without(verdict: Verdict) -> Self {
        Self { direct: String::new(), hub: String::new(), verdict }
    }

    /// One row of the table.
    pub(crate) fn line(&self, words: &str) -> String {
        format!("| {words} | {} | {} | {} |", self.direct, self.hub, self.verdict)
    }
}

/// Whether more were lost through the hub than directly, beyond what chance explains where some are always lost.
pub(crate) fn more_lost(direct: u64, hub: u64) -> bool {
    // Twice the standard deviation of a count.
    hub as f64 > direct as f64 + 2.0 * (direct as f64).sqrt()
}

/// Milliseconds: the middle, and the end.
pub(crate) fn millis(sample: &Sample) -> String {
    let [half, most, all] =
        [0.5, 0.99, 1.0].map(|share| sample.quantile(share).unwrap_or(f64::NAN));
    format!("p50 {half:.2}, p99 {most:.2}, max {all:.1} ms")
}

/// The most common reason why a call failed.
pub(crate) fn failure(sample: &Sample) -> Option<String> {
    let most = sample.failures.iter().max_by_key(|(_, count)| **count);
    most.map(|(reason, count)| format!("{count} × {reason}"))
}

/// The lines above the rows.
pub(crate) fn head(table: &Table) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let quick = if table.quick { ", with --quick" } else { "" };
    vec![
        format!("Long rows took {} s{quick}; {cores} cores.", table.length().as_secs()),
        String::new(),
        "| use | direct | through the hub | as direct |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ]
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the one place where the table is printed")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_none_is_lost_directly_none_may_be_lost() {
        assert!(!more_lost(0, 0));
        assert!(more_lost(0, 1));
        assert!(!more_lost(100, 120));
        assert!(more_lost(100, 121));
    }
}
