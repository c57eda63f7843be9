//! The same metrics as OpenMetrics 1.0 has them, which Prometheus asks for: there, a bucket may name a call that is in it.

use std::array;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::CALL_SECONDS;
use super::names::CALL_HEAD;
use crate::observe::ending::Kind;
use crate::observe::trace::{Trace, TraceId};

/// What an answer of this form is called.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether an `Accept` takes it: it may say of something that it is not taken (RFC 9110 12.4.2).
pub(crate) fn is_accepted(accept: &str) -> bool {
    accept.split(',').map(str::trim).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let weight = |part: &str| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
        parts.next() == Some("application/openmetrics-text")
            && parts.find_map(weight).is_none_or(|weight| weight > 0.0)
    })
}

/// A call that somebody records, and how long the head of its answer took.
#[derive(Clone, Copy, Debug)]
struct Exemplar {
    trace: TraceId,
    seconds: f64,
    at: SystemTime,
}

/// The last of each bucket of the times to the head of an answer, by kind. The last bucket is of what is above all bounds.
#[derive(Debug)]
pub(super) struct Exemplars([[Mutex<Option<Exemplar>>; CALL_SECONDS.len() + 1]; 3]);

impl Default for Exemplars {
    fn default() -> Self {
        Self(array::from_fn(|_| array::from_fn(|_| Mutex::default())))
    }
}

impl Exemplars {
    /// Notes a call, if its caller records it: of another, nothing would be found.
    pub(super) fn note(&self, kind: Kind, head: Duration, trace: Option<Trace>) {
        let Some(trace) = trace.filter(|trace| trace.is_sampled) else { return };
        let seconds = head.as_secs_f64();
        let place = CALL_SECONDS.partition_point(|bound| *bound < seconds);
        let exemplar = Exemplar { trace: trace.id, seconds, at: SystemTime::now() };
        // Whoever finds another at it leaves it to that one.
        if let Some(mut last) = self.0[kind as usize][place].try_lock() {
            *last = Some(exemplar);
        }
    }

    /// The one that belongs behind this line of a bucket.
    fn of(&self, line: &str) -> Option<Exemplar> {
        let labels = line.strip_prefix(CALL_HEAD)?.strip_prefix("_bucket{")?;
        let kind = Kind::ALL.into_iter().find(|kind| says(labels, "kind", kind.label()))?;
        let bounds = CALL_SECONDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let place = bounds.into_iter().position(|bound| says(labels, "le", &bound))?;
        *self.0[kind as usize][place].lock()
    }
}

fn says(labels: &str, label: &str, value: &str) -> bool {
    labels.contains(&format!("{label}=\"{value}\""))
}

/// Makes it of the Prometheus text format: families are called without what their samples end with, and the end is marked.
pub(super) fn of_text(text: &str, exemplars: &Exemplars) -> String {
    let mut open = String::with_capacity(text.len() + 4096);
    for line in text.lines().filter(|line| !line.is_empty()) {
        open.push_str(&renamed(line));
        if let Some(Exemplar { trace, seconds, at }) = exemplars.of(line) {
            let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            // A string takes whatever is written.
            let _ = write!(open, " # {{trace_id=\"{trace}\"}} {seconds} {at:.3}");
        }
        open.push('\n');
    }
    open.push_str("# EOF\n");
    open
}

/// A comment on a counter is about its family.
fn renamed(line: &str) -> String {
    let mut words = line.splitn(4, ' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("#"), Some(about @ ("HELP" | "TYPE")), Some(name), rest) => {
            let family = name.strip_suffix("_total").unwrap_or(name);
            format!("# {about} {family} {}", rest.unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}
