//! The metrics of one of the agent's names.

use metrics::{Counter, Gauge, counter, gauge};

use super::meter::{Meter, Meters};
use super::names::{LANES, LANES_OPENED, RELAYED_BYTES, UPSTREAM_UP};

/// Why a lane was not opened: a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneRefused {
    /// The name has as many as it may.
    MaxLanes,
    /// Its server, or the system, takes no more connections.
    TooMany,
    /// Its server cannot be reached.
    Unreachable,
    /// The hub had no use for it any more.
    GivenUp,
}

impl LaneRefused {
    const LABELS: [&str; 4] = ["max-lanes", "too-many", "unreachable", "given-up"];
}

/// All of them; the handles are made once.
#[derive(Debug)]
pub(crate) struct NameMetrics {
    upstream_up: Gauge,
    lanes: Gauge,
    opened: Counter,
    refused: [Counter; LaneRefused::LABELS.len()],
    requests: Counter,
    responses: Counter,
}

impl NameMetrics {
    /// Needs a recorder.
    pub(super) fn new(name: &str) -> Self {
        let name = name.to_owned();
        let opened = |outcome: &'static str| counter!(LANES_OPENED, "name" => name.clone(), "outcome" => outcome);
        let relayed = |direction: &'static str| counter!(RELAYED_BYTES, "name" => name.clone(), "direction" => direction);
        Self {
            upstream_up: gauge!(UPSTREAM_UP, "name" => name.clone()),
            lanes: gauge!(LANES, "name" => name.clone()),
            opened: opened("opened"),
            refused: LaneRefused::LABELS.map(opened),
            requests: relayed("request"),
            responses: relayed("response"),
        }
    }

    /// Whether its server takes connections now.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.upstream_up.set(if is_up { 1.0 } else { 0.0 });
    }

    /// A lane is open, until what this returns is dropped.
    pub(crate) fn lane_opened(&self) -> OpenLane<'_> {
        self.opened.increment(1);
        self.lanes.increment(1.0);
        OpenLane(&self.lanes)
    }

    /// A lane was not opened.
    pub(crate) fn lane_refused(&self, why: LaneRefused) {
        self.refused[why as usize].increment(1);
    }

    /// For a new lane.
    pub(crate) fn meters(&self) -> Meters {
        Meters { up: Meter::new(&self.requests), down: Meter::new(&self.responses) }
    }
}

/// Counts an open lane until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenLane<'n>(&'n Gauge);

impl Drop for OpenLane<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
