//! Every limit of hub, agent and client, with its reason. Nothing waits, queues or grows without one.

use std::time::Duration;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

// --- names and registration headers ---

/// A name fits a DNS label chain of two and a metric label, and a list of them stays readable.
pub const NAME_MAX_BYTES: usize = 128;
/// Labels describe an agent to people; they are kept for each session and listed.
pub const LABELS_MAX: usize = 32;
/// Bytes of one label, `key=value`.
pub const LABEL_MAX_BYTES: usize = 256;
/// Bytes of `Hub-Instance`, `Hub-Agent-Version`, `Hub-Authority`: shown in lists and logs.
pub const HEADER_MAX_BYTES: usize = 255;
/// The highest number of sessions that one agent process may hold. Four already use four cores of the
/// hub (it advises at least 2, at most 4); more only for who measured it.
pub const SESSIONS_MAX: u16 = 64;

// --- handshakes ---

/// A peer that has connected must finish TLS and show its first bytes within this, and then send its
/// HTTP/1.1 head or HTTP/2 preface within this again. A slow mobile link needs about 3 s for TLS; 10 s leaves room and bounds idle sockets.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the WebSocket's 101 to the upstream's HTTP/2 SETTINGS. One round trip to the agent and one to
/// its upstream; a server that sends nothing by then does not speak HTTP/2.
pub const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);
/// An agent's dial: TCP, TLS and upgrade together, and the same for its upstream.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(15);

/// A TCP connection on which nothing is said is asked for life after this long. Clients may be silent
/// for hours; without it the ones that vanished would stay for ever.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Sent bytes that stay unacknowledged this long mean a dead peer; Linux alone would try for 15 minutes.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that the kernel takes before they can be sent. With its own limit of megabytes, a ping on a thin
/// link would wait behind them for longer than the keepalive timeout, and one stream's bulk would hold up
/// the others.
pub const TCP_UNSENT: u32 = 128 * KIB;

// --- HTTP/2, on every end that is ours ---

/// Flow control window of one stream, each way. 512 KiB carry 10 MB/s at 50 ms round trip time, and
/// this much is what one stalled stream can hold in the hub.
pub const STREAM_WINDOW: u32 = 512 * KIB;
/// Flow control window of a connection: the largest that RFC 9113 6.9.1 allows, so that only stream
/// windows hold a slow reader back and nobody waits for somebody else's bytes.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Largest frame we take. Bigger frames make for fewer and bigger reads; beyond 64 KiB a frame holds
/// up the other streams of a thin link.
pub const MAX_FRAME_SIZE: u32 = 64 * KIB;
/// Bytes of one stream that h2 takes for sending before the splice stops reading the other side.
pub const MAX_SEND_BUFFER: usize = 128 * KIB as usize;
/// Bytes of a header list that a client may send. gRPC's own default is 8 KiB; tokens make it grow.
/// Well below 64 KiB: hyper, and so tonic, takes 16 KiB, answers up to four times that with 431, and ends
/// the connection, which here is everybody's session, beyond. The hub may add an `:authority` to it.
pub const MAX_HEADER_LIST: u32 = 48 * KIB;
/// Bytes of a header list that an upstream may answer with. Above the clients' limit, so that a server
/// which echoes what it got does not lose its answer.
pub const MAX_RESPONSE_HEADER_LIST: u32 = 96 * KIB;
/// Calls at once on one client connection; a gRPC client queues what goes beyond. With the stream
/// window this is the memory one client can hold.
pub const MAX_CLIENT_STREAMS: u32 = 1024;
/// Calls at once on one session of an agent that serves them itself. Beyond it the hub takes another
/// session, or waits.
pub const MAX_SERVICE_STREAMS: u32 = 4096;
/// 1xx responses before the real one. They have no flow control; servers send one or two.
pub const INFORMATIONAL_MAX: u8 = 16;
/// Calls at once on one session, until the upstream's SETTINGS say otherwise.
pub const INITIAL_MAX_SESSION_STREAMS: usize = 100;
/// Unread DATA below 256 bytes costs h2 a share of this budget; used up, the *connection* dies. One
/// stalled stream of 25-byte messages needs 4.8 MB of it, and splices read eagerly, so a client that
/// uses up this much is flooding.
pub const CLIENT_DATA_FRAME_BUDGET: usize = 64 * MIB as usize;
/// HEADERS followed by RST_STREAM before the hub has seen the call: h2's default of 20 is reached by one
/// read of an honest client that gives up a batch of calls.
pub const CLIENT_PENDING_RESETS: usize = 1024;
/// Streams that a session cancelled and still remembers, so that late frames for them are no error.
pub const SESSION_RESETS_REMEMBERED: usize = 10_000;
/// For how long it remembers them: longer than any honest round trip.
pub const SESSION_RESET_MEMORY: Duration = Duration::from_secs(30);
/// Small chunks that wait for a window are copied together up to this size: one frame instead of many.
pub const COALESCE_BYTES: usize = 16 * KIB as usize;
/// How long a call may wait for a session whose upstream takes no more streams now.
pub const STREAM_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many calls may wait so for one name.
pub const STREAM_QUEUE_MAX: usize = 1024;
/// A server that has answered in full may go on reading the request. If nothing of it moves for this
/// long, the call is over.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

// --- WebSocket ---

/// Read buffer of one WebSocket. tungstenite allocates it for every connection, idle or not; its own
/// default of 128 KiB would cost 10,000 idle sessions 1.3 GB.
pub const WS_READ_BUFFER: usize = 16 * KIB as usize;
/// Bytes of messages that are written to the socket in one go.
pub const WS_WRITE_BUFFER: usize = 32 * KIB as usize;
/// Never reached while writers wait for readiness, one message at a time: a guard against our own bugs.
pub const WS_MAX_WRITE_BUFFER: usize = 1024 * KIB as usize;
/// The largest message taken. Ours are at most [`WS_MESSAGE_BYTES`]; others' may be larger, but a
/// message is held in memory until it is whole.
pub const WS_MAX_MESSAGE: usize = 1024 * KIB as usize;
/// The largest binary message sent: one HTTP/2 frame and its header, so that keepalive never waits
/// for more than this.
pub const WS_MESSAGE_BYTES: usize = 64 * KIB as usize + 9;
/// Control messages waiting, each way. They are rare and say little; a peer that fills this is broken.
pub const CONTROL_QUEUE: usize = 16;
/// How long the closing handshake of a WebSocket may take before the socket is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last sessions may take to close: both waits of that handshake, and a margin.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(2 * CLOSE_TIMEOUT.as_secs() + 1);
/// Default of `--keepalive-interval`: below the idle limits of what stands between (nginx and AWS ALB
/// 60 s, Cloudflare 100 s, AWS NLB 350 s; some mobile carriers 30 s).
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Default of `--keepalive-timeout`: nothing heard for this long means dead. Two missed pings.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);

// --- relay ---

/// Buffer for each direction of a relay, held for as long as the session: 16 KiB is what an idle
/// session may cost, and what one TLS record carries.
pub const RELAY_BUFFER: usize = 16 * KIB as usize;

// --- hub ---

/// Default of `--drain-timeout`: Kubernetes kills after 30 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept (out of file descriptors): long enough not to spin, short enough not to be seen.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections accepted and not yet taken by a worker.
pub const WORKER_QUEUE: usize = 1024;
/// Events that a slow watcher of activity may be behind before it loses some.
pub const ACTIVITY_BUFFER: usize = 1024;
/// Names remembered after their last session went, to tell `offline` from `unknown-name`.
pub const REMEMBERED_NAMES: usize = 10_000;
/// For how long they are remembered.
pub const REMEMBER_NAME: Duration = Duration::from_secs(3600);
/// A refused WebSocket upgrade asks the agent to come back after this many seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;
/// Bytes of one call that its metric may lag behind.
pub const METER_STEP: u64 = 256 * KIB as u64;
/// How often histograms are folded together; until then every call adds to memory.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// What is left to be written after the end may take this long.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Events on their way to one watcher; what it does not read waits among the last [`ACTIVITY_BUFFER`],
/// until it is lost.
pub const ACTIVITY_IN_HAND: usize = 16;
/// Bytes of a request to the hub's own services. Theirs are empty or a name; tonic holds a message in
/// memory until it is whole, and would take 4 MiB.
pub const OWN_REQUEST_MAX: usize = 64 * KIB as usize;
/// Characters of a stranger's text in a log line.
pub const LOGGED_MAX: usize = 128;

// --- agent ---

/// First pause before dialling again, doubled each time; the real pause is random between 0 and it.
pub const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest pause. A fleet of 10,000 agents that lost its hub comes back at about 700 dials a second.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Pause where the hub refused for good (bad name, bad token): somebody has to change something.
pub const BACKOFF_FATAL: Duration = Duration::from_secs(60);
/// A session that lived this long was stable: the next loss starts with the shortest pause again.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that an agent obeys.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

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

// --- client ---

/// Requests that are read ahead of the call. A few keep the wire busy, and hold little memory.
pub const CALL_READ_AHEAD: usize = 16;
/// A stream may be silent for hours, so pings find out when the hub is gone. Often enough for NAT
/// tables, whose entries live for a minute and more.
pub const CALLER_PING_INTERVAL: Duration = Duration::from_secs(30);
/// As long as the hub itself waits for a ping's answer.
pub const CALLER_PING_TIMEOUT: Duration = Duration::from_secs(30);
/// Window of a call, 4 MiB: 40 MB/s at 100 ms round trip time. The connection carries a call or two.
pub const CALLER_WINDOW: u32 = 4 << 20;
/// The longest time that `grpc-timeout` can say in seconds: eight digits.
pub const GRPC_TIMEOUT_MAX: Duration = Duration::from_secs(99_999_999);
/// Files that one symbol may need. The largest API repositories have some thousand files in all.
pub const SCHEMA_MAX_FILES: usize = 4096;
/// Bytes of those files. Descriptors of big services are a few MiB.
pub const SCHEMA_MAX_BYTES: usize = 64 << 20;
/// How long a call without streams may take: people wait no longer, and scripts end.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);
