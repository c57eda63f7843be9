//! Limits that hub and agent agree on, or that all programs share, with their reasons.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::token_bucket::Rate;

const KIB: u32 = 1 << 10;

// --- names and registration headers ---

/// A name fits a DNS label chain of two and a metric label, and a list of them stays readable.
pub const NAME_MAX_BYTES: usize = 128;
/// Names of one agent: each is registered, probed and watched for itself. All their headers together stay well below what a
/// hub, and proxies in between, read of a head.
pub const NAMES_MAX: usize = 16;
/// Labels describe an agent to people; they are kept for each session and listed.
pub const LABELS_MAX: usize = 32;
/// Bytes of one label, `key=value`.
pub const LABEL_MAX_BYTES: usize = 256;
/// Bytes of all labels of an agent: with as many, a hundred agents fit on a page of a list.
pub const LABELS_MAX_BYTES: usize = 2 * KIB as usize;
/// Bytes of `Hub-Instance`, `Hub-Agent-Version` and, for each name, of `Hub-Authority`: shown in lists and logs.
pub const HEADER_MAX_BYTES: usize = 255;
/// The highest number of sessions that one agent process may hold. Four already use four cores of the
/// hub (it advises at least 2, at most 4); more only for who measured it.
pub const SESSIONS_MAX: u16 = 64;
/// Sessions of one agent that have two numbers each (`Hub-Slot`), so far apart, so that a successor registers beside the
/// session that it replaces. Agents with more have one number a session; no hub advises more.
pub const SESSIONS_PAIRED: u16 = SESSIONS_MAX / 2;

// --- handshakes ---

/// From the WebSocket's 101 to the upstream's HTTP/2 SETTINGS. One round trip to the agent and one to
/// its upstream; a server that sends nothing by then does not speak HTTP/2.
pub const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);
/// An agent's dial: TCP, TLS and upgrade together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// First pause before dialling again. The next ones grow with the time that was waited already; the real pause is
/// random between 0 and it.
pub const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// A session that lived this long was stable: the next loss starts with the shortest pause again.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Bytes of a refusal that are read: its first line says why.
pub const REFUSAL_BYTES: usize = 1024;
/// How long they are waited for. A proxy may answer with a page that never ends.
pub const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the head of the hub's answer to an upgrade, and of a proxy's to CONNECT; what is in between may add to it.
pub const ANSWER_HEAD: usize = 32 << 10;
/// Of user, password and host together, towards a SOCKS5 proxy: the library puts all messages into one buffer of 262 bytes
/// (hyper-util 0.1.21).
pub const SOCKS_BYTES: usize = 240;
/// Characters of a stranger's words in a log line or an error.
pub const STRANGERS_WORDS: usize = 200;
/// So long an address may be silent before the next one of the same name is tried, too (RFC 8305 5).
pub const CONNECT_NEXT: Duration = Duration::from_millis(250);
/// A TCP connection on which nothing is said is asked for life after this long. Clients may be silent
/// for hours; without it the ones that vanished would stay for ever.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Sent bytes that stay unacknowledged this long mean a dead peer; Linux alone would try for 15 minutes.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that the kernel takes before they can be sent. With its own limit of megabytes, a ping on a thin
/// link would wait behind them for longer than the keepalive timeout, and one stream's bulk would hold up
/// the others. On loopback, 16 KiB are as fast as 128 (`make bench`); 4 KiB did no better on a thin link (`make links`).
pub const TCP_UNSENT: u32 = 16 * KIB;

// --- HTTP/2 ---

/// Flow control window of one stream, each way. 512 KiB carry 10 MB/s at 50 ms round trip time, and
/// this much is what one stalled stream can hold in the hub.
pub const STREAM_WINDOW: u32 = 512 * KIB;
/// Flow control window of a connection: the largest that RFC 9113 6.9.1 allows, so that only stream
/// windows hold a slow reader back and nobody waits for somebody else's bytes.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Largest frame we take. Bigger frames make for fewer and bigger reads; beyond 64 KiB a frame holds
/// up the other streams of a thin link.
pub const MAX_FRAME_SIZE: u32 = 64 * KIB;
/// Bytes of one stream that h2 takes for sending before the writer stops. A frame
/// costs some 300 bytes there besides its payload, so this holds down what slow small messages cost; two
/// frames of 16 KiB keep a connection busy.
pub const MAX_SEND_BUFFER: usize = 32 * KIB as usize;
/// Bytes of a header list that h2 takes from a client before it answers 431 itself; below it, and above
/// the hub's own `MAX_HEADER_LIST`, the hub does, with a `hub-reason` and a gRPC status.
pub const MAX_HEADER_LIST_READ: u32 = 64 * KIB;
/// Bytes of a header list that an upstream may answer with. Above the clients' limit, so that a server
/// which echoes what it got does not lose its answer.
pub const MAX_RESPONSE_HEADER_LIST: u32 = 96 * KIB;
/// For how long a lane, or a server of ours, remembers streams that it has reset: longer than any honest round trip.
pub const LANE_RESET_MEMORY: Duration = Duration::from_secs(30);
/// What one connection may do at a stretch, in bytes, before others on its thread get their turn. 128 KiB take some
/// 100 us. What was read in a turn is written at its end: with 32 KiB, calls that came together went on by fours, and a call
/// cost a seventh more (`make bench`); a bystander of floods noticed no difference (`make isolation`).
pub const WORK_TURN: usize = 128 * KIB as usize;
/// What a frame or message costs of a turn besides its bytes: small ones take about as long to deal with
/// as a KiB to copy.
pub const WORK_PER_FRAME: usize = KIB as usize;
/// DATA shorter than this costs more to pass on than its bytes.
pub const SMALL_FRAME: usize = 128;

// --- floods, on the connection of whoever floods ---

/// How long whoever floods is left waiting before its connection ends. It would open another and flood that:
/// so once a second, not as fast as the hub can end them. Nothing is read meanwhile.
pub const OFFENDER_PAUSE: Duration = Duration::from_secs(1);

// --- WebSocket ---

/// Bytes that are read from a WebSocket's socket at once, if there are so many: two messages of bulk with their heads, so
/// that neither is cut.
pub const WS_READ: usize = 2 * (WS_MESSAGE_BYTES + 14);
/// A read of so much is followed by one into memory that its messages then share, so that they are not copied.
pub const WS_READ_BULK: usize = 8 * KIB as usize;
/// Bytes of messages that wait to be written to the socket in one go.
pub const WS_WRITE_BUFFER: usize = 32 * KIB as usize;
/// Messages smaller than this are copied together to be written: that costs less than a piece of its own.
pub const WS_COPY_BELOW: usize = 2 * KIB as usize;
/// The largest message taken. Ours are at most [`WS_MESSAGE_BYTES`]; a newer peer's may be larger, but a
/// message is held in memory until it is whole.
pub const WS_MAX_MESSAGE: usize = 64 * KIB as usize;
/// The largest message sent: DATA of a lane, and before it the kind and the lane.
pub const WS_MESSAGE_BYTES: usize = 5 + LANE_DATA_MAX;
/// Messages without data that a peer may have sent at once: control, pings, and pongs that nobody asked for. A ping behind
/// DATA is free, by which its sender learns that the DATA has arrived, and so is an answer. The others are rare.
pub const WS_IDLE_MESSAGES: Rate = Rate { burst: 128, per: Duration::from_secs(8) };
/// Control messages of a peer that wait to be heeded: as many as may come at once ([`WS_IDLE_MESSAGES`]), so that none is
/// lost of a peer that goes on. Of those to be sent, there is one about each thing.
pub const CONTROL_QUEUE: usize = WS_IDLE_MESSAGES.burst as usize;
/// How long the closing handshake of a WebSocket may take before the socket is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two turns of reading what comes while a connection closes: 6 MB a second of what nobody wants.
pub const CLOSING_PAUSE: Duration = Duration::from_millis(20);
/// How long the last sessions may take to close: both waits of that handshake, and a margin.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(2 * CLOSE_TIMEOUT.as_secs() + 1);
/// Default of `--keepalive-interval`: below the idle limits of what stands between (nginx and AWS ALB
/// 60 s, Cloudflare 100 s, AWS NLB 350 s; some mobile carriers 30 s).
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Default of `--keepalive-timeout`: nothing heard for this long means dead. Two missed pings.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// What an agent may ask for instead: an hour, where each byte of a mobile contract costs, and nothing in between forgets.
pub const KEEPALIVE_ASKED: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);
/// Who has not been heard of for so long since it was pinged is suspect: it gets no new calls while another can have them.
/// Longer than any link, and shorter than callers bear.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(2);
/// What is sent after so long a silence is followed by a ping: so calls for who is gone tell soon that it is.
pub const PING_INTO_SILENCE: Duration = Duration::from_secs(1);
/// Who is probed, because another one has come in its stead, is to be heard of within this time, or is gone.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two pings while much moves, so that the windows of lanes follow the link.
pub const BUSY_PING_INTERVAL: Duration = Duration::from_millis(250);
/// So much: what half of a lane's first credit is.
pub const BUSY_BYTES: usize = LANE_FIRST_CREDIT as usize / 2;
/// The round trip time is the least of so long: a ping that stood in a queue tells of the queue.
pub const RTT_MEMORY: Duration = Duration::from_secs(10);

/// How long what is sent may stand before a thin link, beside a quarter of how long the link is: a small call waits for
/// that, and the link is never idle while its sender hears of what has arrived. LEDBAT allows 100 ms (RFC 6817 2.4.2), for
/// what has no haste at all.
pub const HELD_QUEUE: Duration = Duration::from_millis(10);
/// Bytes that may be on their way in any case: two messages keep a thin link busy.
pub const HELD_LEAST: u64 = 2 * WS_MESSAGE_BYTES as u64;
/// And at most: more than the kernel's buffers take, and so no limit.
pub const HELD_MOST: u64 = 64 << 20;
/// So often the queue is let run empty, to see how long the link is, or each so many round trips, where that is more, though
/// as often as [`RTT_MEMORY`]: for most of a round trip nothing is sent then.
pub const HELD_PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// See [`HELD_PROBE_INTERVAL`].
pub const HELD_PROBE_ROUNDS: u128 = 50;
/// A sender who was not held back for so long is held no more, until a queue forms again: what one moment of a busy machine
/// looked like must not stay.
pub const HELD_FORGOTTEN: Duration = Duration::from_secs(60);
/// Pings on their way by which a held sender learns what has arrived: four for each window, and a few more.
pub const HELD_PINGS: usize = 16;

// --- lanes ---

/// Bytes that either end of a lane may send before the other has said anything. Part of the wire contract.
pub const LANE_FIRST_CREDIT: u32 = 64 * KIB;
/// Bytes on their way on one lane, each direction, at most: 160 MB/s at 100 ms, half of it being on its way back. grpc-go
/// lets its own windows grow to half as much.
pub const LANE_CREDIT_GROWN: u32 = 32 << 20;
/// A window of which half is used in less than so many round trips grows: it, and not the link, is what holds the sender
/// back (QUIC's implementations and yamux have this rule too, and double).
pub const LANE_GROWS_BELOW: u32 = 2;
/// By so much,
pub const LANE_GROWS_BY: u32 = 4;
/// and by so much on a long link, where finding out costs most: from 64 KiB to 16 MiB in two round trips. What it holds back
/// is TCP, which has begun long ago; and what does not fit on a thin link is held back by its sender (see [`HELD_QUEUE`]). By
/// four, C-core's first download of 64 MiB took four round trips more than direct (`make links`).
pub const LANE_GROWS_FAR_BY: u32 = 16;
/// A link is long from this on.
pub const LANE_FAR: Duration = Duration::from_millis(20);
/// In more than so many, it is halved: the link has become thinner, or shorter.
pub const LANE_SHRINKS_ABOVE: u32 = 16;
/// A round trip counts as no shorter: on a busy machine, threads wait for each other that long.
pub const LANE_RTT_LEAST: Duration = Duration::from_millis(2);
/// Credit never exceeds this, as HTTP/2's windows (RFC 9113 6.9.1). Part of the wire contract.
pub const LANE_CREDIT_MAX: u32 = (1 << 31) - 1;
/// Bytes of one DATA frame, at most: no message makes a ping wait for longer than 16 KiB take. Part of the wire
/// contract.
pub const LANE_DATA_MAX: usize = 16 * KIB as usize;
/// Bytes that a lane takes from its user ahead of the socket: two messages keep it busy, and what comes behind
/// them on the same lane does not wait for long.
pub const LANE_QUEUE: usize = 2 * LANE_DATA_MAX;
/// Bytes that one source, and one lane of it, sends before it is the next one's turn.
pub const LANE_TURN: i64 = LANE_DATA_MAX as i64;
/// Pieces smaller than this are copied together while they wait to be read: each of the others holds on to all of the
/// block that it was read into, which is of [`WS_READ`]: two messages of bulk, and four times this. Where a server's frames
/// of 16 KiB lie across messages, one of the two parts of each is larger.
pub const LANE_COPY_BELOW: usize = 8 * KIB as usize + 64;
/// The highest number of a lane; a session that has had as many is drained. Part of the wire contract.
pub const LANE_IDS_MAX: u32 = (1 << 31) - 1;
/// Bytes of the reason in a RESET.
pub const LANE_REASON_MAX: usize = 255;
/// RESETs that wait to be sent, beyond one for each lane that the agent takes: only a hub that opens lanes and reads
/// nothing comes so far.
pub const LANE_RESETS_WAITING: usize = 4096;
/// Lanes for which a session keeps memory though it has fewer now.
pub const LANES_ROOM_KEPT: usize = 64;
/// How often lanes are looked after that may have credit to give back, or a peer that does not end them.
pub const LANE_SWEEP: Duration = Duration::from_secs(1);
/// After so many sweeps without a byte, credit beyond the first is given back: two seconds.
pub const LANE_IDLE_SWEEPS: u8 = 2;
/// After so many sweeps, a lane that this end has finished is reset: one second, and up to another.
pub const LANE_ABANDONED_SWEEPS: u8 = 1;
/// Frames without data that a peer may have sent beyond what others explain.
pub const LANE_IDLE_FRAMES: Rate = Rate { burst: 4096, per: Duration::from_secs(16) };
/// Frames that each new lane, each DATA that comes and whatever is sent explain: CREDIT, FIN, RESET, RETURN.
pub const LANE_FRAMES_EXPLAINED: u32 = 4;
/// Default of `agent --max-lanes`: lanes with calls that an agent takes at once. Each is a connection to the
/// upstream; nginx comes with 512 or 768, Envoy with 1024.
pub const LANES_MAX: NonZeroU32 = NonZeroU32::MIN.saturating_add(1023);

// --- listeners ---

/// Connections that the kernel keeps until they are accepted, if it allows as many (Linux: `net.core.somaxconn`, 4096
/// by default). What comes beyond is dropped, and tries again after one second, then three. A fleet comes back all at
/// once; tokio's own listeners keep 128.
pub const LISTEN_BACKLOG: u32 = 4096;
/// After a failed accept (out of file descriptors): long enough not to spin, short enough not to be seen.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections to an admin listener at once: probes and scrapers are a handful, and come again, and pages that people look at
/// have one each at most for longer. Whoever comes beyond waits until one of them has gone. Fewer than the open files that are kept for what is no lane ([`OTHER_FILES`]).
pub const ADMIN_CONNECTIONS: usize = 32;
/// How long such a connection may say nothing, or half a request. A scraper that stays away longer connects again.
pub const ADMIN_SILENCE: Duration = Duration::from_secs(10);
/// How old it becomes, so that no one keeps its place who sends requests and reads no answer. The request that is under
/// way then has [`ADMIN_SILENCE`] to end.
pub const ADMIN_CONNECTION_AGE: Duration = Duration::from_secs(300);

// --- programs ---

/// Default of `--drain-timeout`: Kubernetes kills after 30 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Log lines that wait to be written; more are lost, and counted.
pub const LOG_QUEUE: usize = 4096;
/// How long a program that ends waits for its last lines to be written.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Open files that are not connections: listeners, runtimes, certificate and token files.
pub const OTHER_FILES: u64 = 64;
