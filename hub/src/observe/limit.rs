//! Limits that somebody reached: each is counted, and logged now and then.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;
use tunnel::name::Name;

use crate::limits::LIMIT_LOG_INTERVAL;
use crate::observe::activity::{Activity, What};
use crate::observe::metrics::Metrics;

/// What can be reached. The label tells the metric, the sentence the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    ClientFrames,
    ClientResets,
    ClientHeads,
    ClientData,
    AgentFrames,
    AgentHeads,
    AgentMessages,
    Answers,
    Connections,
    Handshakes,
    HealthList,
    Held,
    OwnCalls,
    Registrations,
    Streams,
    UpstreamClosed,
    Watches,
}

impl Limit {
    const ALL: [Self; 17] = [
        Self::ClientFrames,
        Self::ClientResets,
        Self::ClientHeads,
        Self::ClientData,
        Self::AgentFrames,
        Self::AgentHeads,
        Self::AgentMessages,
        Self::Answers,
        Self::Connections,
        Self::Handshakes,
        Self::HealthList,
        Self::Held,
        Self::OwnCalls,
        Self::Registrations,
        Self::Streams,
        Self::UpstreamClosed,
        Self::Watches,
    ];

    /// The metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ClientFrames => "client-frames",
            Self::ClientResets => "client-resets",
            Self::ClientHeads => "client-heads",
            Self::ClientData => "client-data",
            Self::AgentFrames => "agent-frames",
            Self::AgentHeads => "agent-heads",
            Self::AgentMessages => "agent-messages",
            Self::Answers => "answers",
            Self::Connections => "connections",
            Self::Handshakes => "handshakes",
            Self::HealthList => "health-list",
            Self::Held => "held",
            Self::OwnCalls => "own-calls",
            Self::Registrations => "registrations",
            Self::Streams => "streams",
            Self::UpstreamClosed => "upstream-closed",
            Self::Watches => "watches",
        }
    }

    /// What the log says of it.
    fn sentence(self) -> &'static str {
        match self {
            Self::ClientFrames => {
                "a client floods its connection with frames that belong to no call: connection ended"
            }
            Self::ClientResets => {
                "a client gives up calls faster than they are let through: its next ones wait"
            }
            Self::ClientHeads => {
                "a client sends long headers faster than they are let through: read slowly"
            }
            Self::ClientData => {
                "a client sends small frames faster than they are let through: read slowly"
            }
            Self::Answers => {
                "a client makes calls that the hub itself answers, faster than it does: they wait"
            }
            Self::AgentFrames => {
                "an agent's server floods a lane with frames that belong to no call: lane ended"
            }
            Self::AgentHeads => {
                "an agent's server answers with more headers than are passed on, or faster than they are let through"
            }
            Self::AgentMessages => {
                "an agent floods its session with messages that mean nothing: session ended"
            }
            Self::Connections => "connections are as many as --max-connections allows: hung up",
            Self::Handshakes => "too many connections say nothing: hung up on the oldest",
            Self::HealthList => "a list of health would be longer than an answer may be: refused",
            Self::Held => {
                "too many bytes wait in the hub for peers that do not take them: addresses with no less than the average get no new calls"
            }
            Self::OwnCalls => "a client has too many calls to the hub itself open: call refused",
            Self::Registrations => "too many registrations from one address: refused for a while",
            Self::Streams => {
                "a call found no lane, or no stream on its lanes, that an agent's server takes: refused"
            }
            Self::UpstreamClosed => {
                "an agent's server has ended a caller's connection for cause: the caller has none for a while"
            }
            Self::Watches => {
                "health has as many watchers as it may: those who have one get no more"
            }
        }
    }
}

/// Counts and tells.
#[derive(Debug)]
pub(crate) struct Limits {
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    told: [Mutex<Told>; Limit::ALL.len()],
}

/// When a limit was last in the log, and how often it was reached since; how often at all, and when last.
#[derive(Debug, Default)]
struct Told {
    at: Option<Instant>,
    untold: u64,
    times: u64,
    last: Option<SystemTime>,
}

/// A limit that somebody has reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) limit: Limit,
    /// Since the hub started.
    pub(crate) times: u64,
    pub(crate) last: SystemTime,
}

impl Limits {
    pub(crate) fn new(metrics: Arc<Metrics>, activity: Arc<Activity>) -> Self {
        Self { metrics, activity, told: Default::default() }
    }

    /// `peer` has reached it. Whoever floods us does not get to flood the log, nor those who watch: they have one line, and one
    /// event, for each limit and interval, which says how many more there were.
    pub(crate) fn reached(&self, limit: Limit, peer: SocketAddr, by: Option<&dyn Display>) {
        self.metrics.limit_reached(limit.label());
        let Some(untold) = self.told[limit as usize].lock().turn(Instant::now()) else {
            return;
        };
        let what = What::LimitReached { limit: limit.label(), address: peer, untold };
        self.activity.tell(None::<Name>, String::new(), what);
        let untold = (untold > 0).then_some(untold);
        let by = by.map(tracing::field::display);
        warn!(limit = limit.label(), %peer, by, untold, "{}", limit.sentence());
    }
}

impl Limits {
    /// Those that were reached, the latest first.
    pub(crate) fn reached_so_far(&self) -> Vec<Reached> {
        let reached = Limit::ALL.into_iter().filter_map(|limit| {
            let told = self.told[limit as usize].lock();
            Some(Reached { limit, times: told.times, last: told.last? })
        });
        let mut reached: Vec<_> = reached.collect();
        reached.sort_by_key(|reached| std::cmp::Reverse(reached.last));
        reached
    }
}

impl Told {
    /// How many have gone untold, if it is time to tell.
    fn turn(&mut self, now: Instant) -> Option<u64> {
        (self.times, self.last) = (self.times + 1, Some(SystemTime::now()));
        if self.at.is_some_and(|at| now - at < LIMIT_LOG_INTERVAL) {
            self.untold += 1;
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;
    use crate::observe::metrics::There;

    /// Counts log lines.
    #[derive(Default)]
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _span: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _span: &Id, _values: &Record<'_>) {}

        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

        fn event(&self, _event: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _span: &Id) {}

        fn exit(&self, _span: &Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn one_line_an_interval_with_the_number_of_the_rest() {
        let mut told = Told::default();
        assert_eq!(told.turn(Instant::now()), Some(0));
        assert_eq!(told.turn(Instant::now()), None);
        assert_eq!(told.turn(Instant::now()), None);
        tokio::time::advance(LIMIT_LOG_INTERVAL).await;
        assert_eq!(told.turn(Instant::now()), Some(2));
        assert_eq!(told.turn(Instant::now()), None);
    }

    #[tokio::test]
    async fn every_limit_is_counted_each_time_and_logged_once() {
        let metrics = Metrics::new();
        let limits = Limits::new(metrics.clone(), Arc::new(Activity::new()));
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
            let lines = Lines::default();
            let logged = lines.0.clone();
            tracing::subscriber::with_default(lines, || {
                for _ in 0..=index {
                    limits.reached(limit, ([127, 0, 0, 1], 1).into(), None);
                }
            });
            assert_eq!(logged.load(Ordering::Relaxed), 1, "{limit:?}");
        }
        let text = metrics.render(&There::default(), &[]);
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            let line =
                format!("hub_limits_reached_total{{limit=\"{}\"}} {}", limit.label(), index + 1);
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
