//! Tables for people: aligned columns, and durations and times short enough for them.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;

use crate::output::printable;

/// Stands where there is nothing to say, so that columns stay countable.
const NOTHING: &str = "-";
/// Between two columns.
const GAP: &str = "   ";

/// Rows under a header, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut all = vec![header.map(str::to_owned)];
    all.extend(rows.into_iter().map(|row| row.map(|cell| legible(&cell))));
    let mut widths = [0; N];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines: Vec<String> = all.iter().map(|row| aligned(row, &widths)).collect();
    lines.join("\n")
}

fn legible(cell: &str) -> String {
    match cell {
        "" => NOTHING.into(),
        cell => printable(cell).into_owned(),
    }
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let padded = row.iter().zip(widths);
    let cells: Vec<String> = padded.map(|(cell, width)| format!("{cell:width$}")).collect();
    cells.join(GAP).trim_end().to_owned()
}

/// How long ago `time` was: its two largest units. Empty if not set.
pub(crate) fn ago(time: Option<Timestamp>, now: SystemTime) -> String {
    let time = time.and_then(|time| SystemTime::try_from(time).ok());
    time.map(|time| coarse(now.duration_since(time).unwrap_or_default())).unwrap_or_default()
}

/// A duration of people's size, by its two largest units: `3d4h`, `5m10s`, `0s`.
pub(crate) fn coarse(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = duration.as_secs();
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let mut text = String::new();
    for (size, unit) in UNITS.iter().skip(first).take(2) {
        if rest / size > 0 || text.is_empty() {
            text.push_str(&format!("{}{unit}", rest / size));
        }
        rest %= size;
    }
    text
}

/// A duration of a network's size, with three digits or so: `85us`, `1.23ms`, `2.50s`.
pub(crate) fn fine(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 0.001 => format!("{:.0}us", s * 1e6),
        s if s < 1.0 => format!("{:.2}ms", s * 1e3),
        s => format!("{s:.2}s"),
    }
}

/// A duration that came as a message. Empty if not set, or negative.
pub(crate) fn duration(
    duration: Option<prost_types::Duration>,
    text: fn(Duration) -> String,
) -> String {
    let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
    duration.map(text).unwrap_or_default()
}

/// A moment in UTC, to the millisecond. Empty if not set.
pub(crate) fn moment(time: Option<Timestamp>) -> String {
    let Some(mut time) = time else {
        return String::new();
    };
    time.normalize();
    time.nanos -= time.nanos % 1_000_000;
    time.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_never_empty() {
        let rows = vec![
            ["long name".into(), "".into(), "x".into()],
            ["\u{e4}\n".into(), "2".into(), "".into()],
        ];
        assert_eq!(
            table(["NAME", "N", "LAST"], rows),
            "NAME        N   LAST\nlong name   -   x\n\u{e4}\\n         2   -"
        );
    }

    #[test]
    fn durations_are_short() {
        let coarse = |seconds| coarse(Duration::from_secs(seconds));
        let all = [0, 59, 60, 310, 3_600, 3_661, 90_000, 1_000_000].map(coarse);
        assert_eq!(all, ["0s", "59s", "1m", "5m10s", "1h", "1h1m", "1d1h", "11d13h"]);
        let fine = |micros| fine(Duration::from_micros(micros));
        assert_eq!([85, 1_234, 2_500_000].map(fine), ["85us", "1.23ms", "2.50s"]);
    }

    #[test]
    fn times_may_be_missing_or_in_the_future() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        assert_eq!(ago(at(40), now), "1m");
        assert_eq!(ago(at(200), now), "0s");
        assert_eq!(ago(None, now), "");
        let noon = Timestamp { seconds: 43_200, nanos: 1_999_999 };
        assert_eq!(moment(Some(noon)), "1970-01-01T12:00:00.001Z");
        assert_eq!(moment(at(-1)), "1969-12-31T23:59:59Z");
        assert!(!moment(at(i64::MAX)).is_empty());
        assert_eq!(ago(at(i64::MIN), now), "");
        assert_eq!(duration(None, fine), "");
    }
}
