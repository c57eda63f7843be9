//! The rows of the table: each abuse, in the words of the table, and what is behind the agent meanwhile.

use crate::args::{Front, Kind};
use crate::child::Stderr;

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// What is done.
    words: &'static str,
    /// The word by which the abuser is told, and with the upstream the row's id.
    pub(crate) abuse: &'static str,
    pub(crate) upstream: Kind,
    /// What all callers come through, each with a credential of its own.
    pub(crate) front: Option<Front>,
    /// How many do it at once.
    pub(crate) callers: usize,
    /// How many client connections with stalled streams the hub may hold memory for, where that is its bound.
    pub(crate) stalled: u64,
    /// Whether the abuse has come to rest before anything is measured.
    pub(crate) settles: bool,
    /// Whether hub, agent and bystander speak TLS.
    pub(crate) tls: bool,
    /// What becomes of the hub's log.
    pub(crate) stderr: Stderr,
}

impl Row {
    const fn new(abuse: &'static str, words: &'static str) -> Self {
        Self {
            words,
            abuse,
            upstream: Kind::Tonic,
            front: None,
            callers: 1,
            stalled: 0,
            settles: false,
            tls: false,
            stderr: Stderr::File,
        }
    }

    const fn at(mut self, upstream: Kind) -> Self {
        self.upstream = upstream;
        self
    }

    const fn through(mut self, front: Front) -> Self {
        self.front = Some(front);
        self
    }

    const fn by_ten(mut self) -> Self {
        self.callers = 10;
        self
    }

    const fn stalled(mut self, connections: u64) -> Self {
        (self.stalled, self.settles) = (connections, true);
        self
    }

    const fn at_once(mut self) -> Self {
        self.settles = false;
        self
    }

    const fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    const fn unread_log(mut self) -> Self {
        self.stderr = Stderr::Pipe;
        self
    }

    /// What the table says.
    pub(crate) fn words(&self) -> String {
        let front = self.front.map(|front| format!("through {}: ", front.name()));
        front.unwrap_or_default() + self.words
    }

    /// What `--only` finds it by.
    pub(crate) fn id(&self) -> String {
        let upstream = format!("{:?}", self.upstream).to_lowercase();
        let tls = if self.tls { "@tls" } else { "" };
        let log = if self.stderr == Stderr::Pipe { "@unread-log" } else { "" };
        let begin = if self.stalled > 0 && !self.settles { "@begin" } else { "" };
        let callers = if self.callers > 1 { "@ten" } else { "" };
        let front = self.front.map(|front| format!("@{front:?}").to_lowercase());
        let front = front.unwrap_or_default();
        format!("{}@{upstream}{tls}{log}{begin}{callers}{front}", self.abuse)
    }
}

/// What the others are compared with: all that these do to the bystander is the machine's doing, or what callers
/// do to each other by calling.
pub(crate) const COMPARISON: &[Row] = &[
    Row::new("busy", "*a busy process that has nothing to do with the hub*"),
    Row::new("busy-served", "*the same, and what it writes is read at the hub's own priority*"),
    Row::new("calls", "*ten callers who do no harm, as fast as they are answered*").by_ten(),
];

/// Whose callers come to the hub itself.
pub(crate) const ROWS: &[Row] = &[
    // Stalled readers.
    Row::new("stall-bulk", "100 callers stop reading a bulk stream").stalled(100),
    Row::new("stall-drip", "100 callers stop reading an endless stream of 20-byte messages")
        .stalled(100),
    Row::new("stall-drip", "the same, while the windows fill").stalled(100).at_once(),
    Row::new("stall-bulk-streams", "the same bulk, 100 streams of one connection").stalled(1),
    Row::new("stall-drip-streams", "the same messages, 100 streams of one connection").stalled(1),
    Row::new("uploads", "32 callers upload to a handler that never reads").stalled(32),
    Row::new("uploads", "the same; h2 upstream with the largest connection window")
        .at(Kind::H2)
        .stalled(32),
    // Cancelled calls.
    Row::new("cancel-at-once", "HEADERS and RST_STREAM at once (rapid reset); tonic"),
    Row::new("cancel-at-once", "rapid reset by ten callers at once; tonic").by_ten(),
    Row::new("cancel-before-head", "20,000 calls cancelled before the head; tonic"),
    Row::new("cancel-after-head", "20,000 calls cancelled after the head; tonic"),
    Row::new("cancel-at-once", "rapid reset; Netty's guard (emulated)").at(Kind::LikeNetty),
    Row::new("cancel-before-head", "cancelled before the head; Netty's guard (emulated)")
        .at(Kind::LikeNetty),
    Row::new("cancel-after-head", "cancelled after the head; Netty's guard (emulated)")
        .at(Kind::LikeNetty),
    Row::new("cancel-at-once", "rapid reset; Netty").at(Kind::Netty),
    Row::new("cancel-before-head", "cancelled before the head; Netty").at(Kind::Netty),
    Row::new("cancel-after-head", "cancelled after the head; Netty").at(Kind::Netty),
    Row::new("cancel-at-once", "rapid reset; nginx").at(Kind::Nginx),
    Row::new("cancel-before-head", "cancelled before the head; nginx").at(Kind::Nginx),
    Row::new("cancel-at-once", "rapid reset; h2 without guards").at(Kind::H2),
    Row::new("cancel-before-head", "cancelled before the head; h2 without guards").at(Kind::H2),
    Row::new("made-you-reset", "frames that make the server reset (MadeYouReset); tonic"),
    Row::new("made-you-reset", "the same; Netty's guard (emulated)").at(Kind::LikeNetty),
    // Floods.
    Row::new("one-byte-data", "DATA frames of 1 byte"),
    Row::new("one-byte-data-unread", "DATA frames of 1 byte, to a handler that never reads"),
    Row::new("one-byte-data-singly", "the same, each frame on its own"),
    Row::new(
        "one-byte-data-singly",
        "each DATA frame of 1 byte on its own, by ten callers at once",
    )
    .by_ten(),
    Row::new("empty-data", "empty DATA frames"),
    Row::new("headers-20k", "calls with a header of 20 KiB, more than the upstream takes"),
    Row::new("headers-47k", "calls with a header of 47 KiB"),
    Row::new("headers-64k", "calls with a header of 64 KiB, more than the hub takes"),
    Row::new("headers-1m", "calls with a header of 1 MiB"),
    Row::new("hpack-bomb", "HPACK bombs: 20 KB that stand for 64 MB"),
    Row::new("pings", "PING flood"),
    Row::new("pings", "PING flood by ten callers at once").by_ten(),
    Row::new("pings-unread", "PING flood, answers not read"),
    Row::new("settings", "SETTINGS flood"),
    Row::new("priorities", "PRIORITY flood"),
    Row::new("window-updates", "WINDOW_UPDATE flood"),
    Row::new("continuations", "CONTINUATION flood"),
    Row::new("mid-data", "100 connections stop within a DATA frame"),
    Row::new("mid-headers", "100 connections stop within HEADERS"),
    // Too many.
    Row::new("streams-100", "one caller holds all 100 streams that the upstream allows")
        .at(Kind::Limit100),
    Row::new("streams-10000", "one caller opens 10,000 streams; tonic, which allows any number"),
    Row::new("streams-10000", "one caller opens 10,000 streams; h2 without a limit").at(Kind::H2),
    Row::new("streams-10-connections", "10,000 streams on ten connections; h2 without a limit")
        .at(Kind::H2),
    Row::new("connections", "2,000 connections"),
    Row::new("reconnects", "connections opened and closed in a loop"),
    Row::new("half-tls", "1,000 connections with half a ClientHello"),
    Row::new("half-tls", "the same; a hub with TLS").tls(),
    Row::new("half-preface", "1,000 connections with half an HTTP/2 preface"),
    Row::new("no-settings", "1,000 connections with a preface and no SETTINGS"),
    Row::new("half-upgrade", "1,000 connections with half a WebSocket upgrade"),
    Row::new("slow-headers", "1,000 connections with a byte of a head every 100 ms"),
    // Agents.
    Row::new("agent-garbage", "another agent sends garbage"),
    Row::new("agent-texts", "another agent floods control messages"),
    Row::new("agent-pings", "another agent floods WebSocket pings"),
    Row::new("agent-frames", "another agent floods HTTP/2 frames that mean nothing"),
    Row::new("agent-lane-frames", "another agent floods lane frames that mean nothing"),
    Row::new("agent-fragments", "another agent's message never ends, in fragments without a byte"),
    Row::new("agent-unmasked", "another agent sends unmasked frames, again and again"),
    Row::new("agent-oversized", "another agent sends a message of 2^62 bytes"),
    Row::new("agent-no-settings", "500 agents never send SETTINGS"),
    Row::new("agent-no-answers", "another agent never answers its 100 callers"),
    Row::new("registrations", "new names register in a loop"),
    // The hub's own services and log.
    Row::new("health-watches", "10,000 watches of the hub's health"),
    Row::new(
        "activity-watches",
        "2,560 watchers of activity, told of each of the bystander's calls",
    ),
    Row::new("list-clients", "ListClients in a loop"),
    Row::new("unknown-names", "calls of unknown names in a loop"),
    Row::new("no-names", "calls without a name in a loop; nobody reads the hub's log").unread_log(),
    Row::new("refused-upgrades", "refused upgrades in a loop"),
    Row::new("refused-upgrades", "refused upgrades in a loop; nobody reads the hub's log")
        .unread_log(),
];

/// The rows that are measured through each front, too.
const THROUGH: &[Row] = &[
    Row::new("cancel-at-once", "rapid reset; tonic"),
    Row::new("cancel-before-head", "cancelled before the head; tonic"),
    Row::new("cancel-before-head", "cancelled before the head; Netty's guard (emulated)")
        .at(Kind::LikeNetty),
    Row::new("cancel-after-head", "cancelled after the head; Netty's guard (emulated)")
        .at(Kind::LikeNetty),
    Row::new("one-byte-data-unread", "DATA frames of 1 byte, to a handler that never reads"),
    Row::new("headers-20k", "calls with a header of 20 KiB, more than the upstream takes"),
    Row::new("streams-100", "one caller holds all 100 streams that the upstream allows")
        .at(Kind::Limit100),
    Row::new("stall-bulk-streams", "one caller stops reading 100 streams of bulk").stalled(4),
    Row::new("stall-drip-streams", "the same, of 20-byte messages").stalled(4),
    Row::new("uploads", "32 callers upload to a handler that never reads").stalled(32),
];

/// All but those for comparison.
pub(crate) fn all() -> impl Iterator<Item = Row> {
    let through = |front| THROUGH.iter().map(move |row| row.through(front));
    let fronts = [Front::Nghttpx, Front::Envoy].into_iter().flat_map(through);
    ROWS.iter().copied().chain(fronts)
}
