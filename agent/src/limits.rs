//! Every limit of the agent that is no other program's, with its reason. Nothing waits, queues or grows without one.

use std::time::Duration;

use tunnel::limits::{DIAL_TIMEOUT, LANE_DATA_MAX, SETTINGS_TIMEOUT};

// --- HTTP/2, on every end that is ours ---

/// Calls at once on one lane of an agent that serves them itself. Beyond it the hub opens another lane, or waits.
pub const MAX_SERVICE_STREAMS: u32 = 4096;

// --- relay ---

/// Buffer for what the upstream sends, held while there is something to read: one DATA frame.
pub const RELAY_BUFFER: usize = LANE_DATA_MAX;

/// Most that is written to the upstream at once, and waits for it where it takes nothing: two DATA frames.
pub const RELAY_WRITE: usize = 2 * LANE_DATA_MAX;

/// Default of `--lane-memory`: of it, one source has half, which is one upload at 160 MB/s from a hub 100 ms away.
pub const LANE_MEMORY: usize = 64 << 20;

// --- agent ---

/// Longest pause. A fleet of 10,000 agents that lost its hub for long comes back at about 700 dials a second; one
/// that lost it for some seconds, within as many.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Pause where the hub refused for good (bad name, bad token): somebody has to change something.
pub const BACKOFF_FATAL: Duration = Duration::from_secs(60);
/// A session that lived this long may be replaced at once, however often: nginx ends a connection after
/// 1000 requests, which a busy one has served in less than a second. What lives shorter is a loop.
pub const REPLACED_AT_ONCE: Duration = Duration::from_millis(50);
/// Pause where hub and agent speak different versions: one of them is being upgraded, and agents should be back soon
/// after.
pub const BACKOFF_VERSION: Duration = Duration::from_secs(10);
/// From the opening of a lane to its connection to the upstream: less than the hub waits for an upstream's SETTINGS
/// ([`SETTINGS_TIMEOUT`]), so that it hears why there are none.
pub const LANE_DIAL_TIMEOUT: Duration = Duration::from_secs(SETTINGS_TIMEOUT.as_secs() - 2);
/// Dials to one upstream at once.
pub const LANE_DIALS: usize = 32;
/// How long the upstream may go on after the hub has ended a lane: the hub itself waits no longer.
pub const LANE_AFTER_HUB: Duration = Duration::from_secs(1);
/// How long a new lane waits for the place of one that has ended: twice what that one takes to end.
pub const LANE_PLACE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the hub may go on after the upstream has ended a lane; what it says is dropped.
pub const LANE_AFTER_UPSTREAM: Duration = Duration::from_secs(10);
/// How often an upstream is asked for life, at most, that ends connections while nobody calls.
pub const UPSTREAM_CHECK: Duration = Duration::from_secs(1);
/// When an upstream is tried again that takes connections and speaks no HTTP/2: it may be about to start.
pub const UPSTREAM_UNFIT_SOON: Duration = Duration::from_secs(1);
/// When it is after many such tries: somebody has to change something.
pub const UPSTREAM_UNFIT: Duration = Duration::from_secs(30);
/// How often an upstream is dialled that was reachable less than [`UPSTREAM_RETRY_LONG`] ago.
pub const UPSTREAM_RETRY_SOON: Duration = Duration::from_secs(1);
/// How often later.
pub const UPSTREAM_RETRY: Duration = Duration::from_secs(5);
/// When it is later.
pub const UPSTREAM_RETRY_LONG: Duration = Duration::from_secs(60);
/// The longest `Retry-After` that an agent obeys.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

// --- several hubs ---

/// How long a connection to one hub may take where there are others: three attempts of TCP (RFC 6298 2.1: after 1 s, and 2 s
/// more).
pub const CONNECT_ELSEWHERE: Duration = Duration::from_secs(5);
/// Addresses of hubs that an agent heeds of those that a hub tells of: more than anybody runs.
pub const HUBS_TOLD: usize = 64;
/// Sessions that had better be at another hub look for one within this time: of 10,000 agents, 500 a second. Twice as long each
/// time that it does not help,
pub const SPREAD_AFTER: Duration = Duration::from_secs(20);
/// and no longer.
pub const SPREAD_MAX: Duration = Duration::from_secs(600);
/// Dials in a row that fail, or lead to a hub which has sessions of the agent already, at most: a quarter of a second each.
pub const SPREAD_TRIES_MAX: usize = 16;

// --- the age of sessions ---

/// The shortest age at which sessions may be said to end: replacing them more often costs more than it saves.
pub const SESSION_AGE_MIN: Duration = Duration::from_secs(1);
/// A session is replaced in this part of its greatest age, each at a moment of its own: a fleet does not come at once, and
/// a dial that fails has time for another.
pub const REPLACED_FROM: f64 = 0.8;
/// And no later than here.
pub const REPLACED_UNTIL: f64 = 0.95;
/// Sessions that are lost earlier tell nothing of an age at which connections end: who cuts them off so soon, means
/// something else.
pub const SESSION_AGE_LEARNED: Duration = Duration::from_secs(10);
/// Ages that differ by no more than this part are the same. Timers of proxies are exact, but a loss may be noticed late.
pub const SESSION_AGE_SAME: f64 = 0.1;
/// For how long an age that was learned is believed at first. Then sessions are let live again, to see.
pub const SESSION_AGE_MEMORY: Duration = Duration::from_secs(3600);
/// And at most: each time that it is found to be true, for twice as long.
pub const SESSION_AGE_MEMORY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an old session keeps the others of its agent from being replaced: a dial, and what the hub takes at most to find
/// out whether the upstream is there.
pub const SUCCESSION_TIMEOUT: Duration =
    Duration::from_secs(DIAL_TIMEOUT.as_secs() + SETTINGS_TIMEOUT.as_secs());

// --- fluentd, supervised by an agent ---

/// What a stop takes that asks for nothing else. Fluentd flushes its buffers in this time; it is also
/// what service managers commonly allow before they kill the agent itself.
pub const FLUENTD_GRACE: Duration = Duration::from_secs(10);
/// A stop holds its caller's stream and everyone who wants to start again for this long.
pub const FLUENTD_GRACE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long a start watches for an early end before it is believed. Enough for a wrong flag or a script
/// that fails, and short for a person who waits. Of a later end the status tells.
pub const FLUENTD_SETTLE: Duration = Duration::from_millis(300);
/// Orders on their way to the supervisor, which takes each as it comes and never waits while it does.
pub const FLUENTD_ORDERS: usize = 16;
/// Memory for one line, in bytes. Fluentd's own lines are a few hundred; a longer line is logged in
/// pieces, so nothing is lost.
pub const FLUENTD_MAX_LINE: usize = 4 * 1024;
/// How often to look whether a group has become empty: the kernel tells nobody when it does. Only done
/// between the leader's end and that of its last child, commonly never.
pub const FLUENTD_GROUP_POLL: Duration = Duration::from_millis(20);
/// How long a killed group may take to be gone: the kernel has to give back its memory, and a process
/// that is stuck in a device or network file system ends only when that answers.
pub const FLUENTD_KILL_WAIT: Duration = Duration::from_secs(5);
/// Callers who wait for a start, and as many for a stop. More than anybody has use for: what they wait
/// for happens once, and also without them.
pub const FLUENTD_MAX_WAITING: usize = 64;

// --- built-in services ---

/// Unread DATA below 256 bytes costs h2 a share of this budget; used up, the lane ends. One stalled stream of 25-byte
/// messages needs 4.8 MB of it.
pub const DATA_FRAME_BUDGET: usize = 64 << 20;
/// HEADERS followed by RST_STREAM before a service has seen the call: h2's default of 20 is reached by one read of an
/// honest client that gives up a batch of calls.
pub const PENDING_RESETS: usize = 1024;
