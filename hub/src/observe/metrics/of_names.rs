//! The series of each name. They are written here and not by the recorder, for they go with their name.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::message::refusal::Refusal;
use crate::observe::ending::Kind;
use crate::observe::name_view::{NameState, NameView};
use crate::observe::outcome::Outcome;
use crate::observe::tally::{Counts, HEAD_BOUNDS, STALLS, Tallies};

/// What all names are called that have no series of their own. No name is: an underscore does not begin one.
const OTHER: &str = "_other";

/// Whose series they are: a name's that is there, or those of all the others.
struct Series<'n> {
    name: &'n str,
    view: Option<&'n NameView>,
    counts: &'n Counts,
}

/// A name's counts with a label more, for each of its values.
type Labelled = fn(&Counts) -> Vec<(&'static str, u64)>;

/// Appends them, in the Prometheus text format.
pub(super) fn write(text: &mut String, names: &[NameView], tallies: &Tallies) {
    let told = names.iter().filter(|view| view.tally.is_told());
    let mut series: Vec<_> = told.map(Series::of).collect();
    let untold = names.len() - series.len();
    let rest = Series { name: OTHER, view: None, counts: tallies.rest() };
    let has_rest = untold > 0 || rest.counts.calls().0 > 0;
    series.extend(has_rest.then_some(rest));
    head(
        text,
        "hub_names_untold",
        "gauge",
        "Names without series of their own, see --metrics-names",
    );
    line(text, "hub_names_untold", "", untold);
    write_gauges(text, &series);
    write_counters(text, &series);
    write_heads(text, &series);
}

impl<'n> Series<'n> {
    fn of(view: &'n NameView) -> Self {
        Self { name: view.name.as_str(), view: Some(view), counts: &view.tally.counts }
    }
}

fn write_gauges(text: &mut String, series: &[Series<'_>]) {
    type Gauge = (&'static str, &'static str, fn(&NameView) -> f64);
    const GAUGES: [Gauge; 7] = [
        (
            "hub_name_up",
            "Whether calls of the name are served: 1 or 0. It stays at 0 while the hub remembers the name",
            |view| f64::from(u8::from(view.state >= NameState::Suspect)),
        ),
        (
            "hub_name_upstream_up",
            "Whether a server of the name takes connections, as far as its agents are there: 1 or 0",
            |view| f64::from(u8::from(view.state > NameState::Unreachable)),
        ),
        (
            "hub_name_since_seconds",
            "When the oldest session of the name came, or its last one went, in seconds since 1970",
            |view| view.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().round(),
        ),
        ("hub_name_agents", "Agent processes of the name, at all hubs", |view| view.agents as f64),
        ("hub_name_sessions", "Their sessions, at all hubs", |view| view.sessions as f64),
        ("hub_name_lanes", "Lanes to their servers by way of this hub", |view| view.lanes as f64),
        ("hub_name_calls_in_flight", "Calls of the name that run now", |view| {
            view.in_flight as f64
        }),
    ];
    for (name, help, value) in GAUGES {
        head(text, name, "gauge", help);
        for of_name in series {
            let Some(view) = of_name.view else { continue };
            line(text, name, &format!("name=\"{}\"", of_name.name), value(view));
        }
    }
    head(
        text,
        "hub_name_rtt_seconds",
        "gauge",
        "Round trip time of the name's nearest session, by WebSocket ping",
    );
    for of_name in series {
        if let Some(rtt) = of_name.view.and_then(|view| view.rtt) {
            let labels = format!("name=\"{}\"", of_name.name);
            line(text, "hub_name_rtt_seconds", &labels, rtt.as_secs_f64());
        }
    }
}

fn write_counters(text: &mut String, series: &[Series<'_>]) {
    const COUNTERS: [(&str, &str, &str, Labelled); 3] = [
        (
            "hub_name_calls_total",
            "outcome",
            "Calls of the name that have ended and that the hub did not refuse, by what the client was told",
            |counts| labelled(&counts.calls, |index| Outcome::LABELLED[index]),
        ),
        (
            "hub_name_refusals_total",
            "hub_reason",
            "Calls of the name that the hub answered in the agent's stead, by why",
            |counts| labelled(&counts.refusals, |index| Refusal::REASONS[index]),
        ),
        (
            "hub_name_bytes_total",
            "direction",
            "Bytes of DATA of the name's calls that were passed on",
            |counts| labelled(&counts.bytes, |index| ["request", "response"][index]),
        ),
    ];
    for (name, label, help, values) in COUNTERS {
        head(text, name, "counter", help);
        for of_name in series {
            for (value, count) in values(of_name.counts) {
                line(text, name, &format!("name=\"{}\",{label}=\"{value}\"", of_name.name), count);
            }
        }
    }
    let errors = "hub_name_errors_total";
    let help = "Calls of the name that failed by no fault of the caller's";
    head(text, errors, "counter", help);
    for of_name in series.iter().filter(|of_name| of_name.counts.calls().0 > 0) {
        let count = of_name.counts.errors.load(Ordering::Relaxed);
        line(text, errors, &format!("name=\"{}\"", of_name.name), count);
    }
    let stalls = "hub_name_stall_seconds_total";
    let help = "Time that calls of the name have waited with bytes in hand, by whom for: the client, which takes no more, the \
                server, whose window is used up, or the link to the agent";
    head(text, stalls, "counter", help);
    for of_name in series {
        for (cause, millis) in labelled(&of_name.counts.stalls, |index| STALLS[index]) {
            let labels = format!("name=\"{}\",cause=\"{cause}\"", of_name.name);
            line(text, stalls, &labels, millis as f64 / 1000.0);
        }
    }
}

/// Those that are not 0, with their labels.
fn labelled(
    counts: &[AtomicU64],
    label: impl Fn(usize) -> &'static str,
) -> Vec<(&'static str, u64)> {
    let counts =
        counts.iter().enumerate().map(|(index, count)| (index, count.load(Ordering::Relaxed)));
    counts.filter(|(_, count)| *count > 0).map(|(index, count)| (label(index), count)).collect()
}

fn write_heads(text: &mut String, series: &[Series<'_>]) {
    const NAME: &str = "hub_name_head_seconds";
    head(
        text,
        NAME,
        "histogram",
        "From the request head to the head of the answer, of calls that an agent's server answered",
    );
    for of_name in series {
        for kind in Kind::ALL {
            let heads = kind.heads(of_name.counts);
            let within = heads.within();
            let all = within[HEAD_BOUNDS.len()];
            if all == 0 {
                continue;
            }
            let labels = format!("name=\"{}\",kind=\"{}\"", of_name.name, kind.label());
            for (bound, count) in HEAD_BOUNDS.iter().zip(within) {
                line(text, &format!("{NAME}_bucket"), &format!("{labels},le=\"{bound}\""), count);
            }
            line(text, &format!("{NAME}_bucket"), &format!("{labels},le=\"+Inf\""), all);
            line(text, &format!("{NAME}_sum"), &labels, heads.sum());
            line(text, &format!("{NAME}_count"), &labels, all);
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // A string takes whatever is written.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Names have nothing in them that a label would have to escape.
fn line(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}
