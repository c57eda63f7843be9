//! Every limit of hub, agent and client, with its reason. Nothing waits, queues or grows without one.

use std::time::Duration;

use crate::token_bucket::Rate;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

// --- names and registration headers ---

/// A name fits a DNS label chain of two and a metric label, and a list of them stays readable.
pub const NAME_MAX_BYTES: usize = 128;
/// Labels describe an agent to people; they are kept for each session and listed.
pub const LABELS_MAX: usize = 32;
/// Bytes of one label, `key=value`.
pub const LABEL_MAX_BYTES: usize = 256;
/// Bytes of all labels of an agent: with as many, a hundred agents fit on a page of a list.
pub const LABELS_MAX_BYTES: usize = 2 * KIB as usize;
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
/// An agent's dial: TCP, TLS and upgrade together.
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

/// The highest number of worker threads: more than any machine has cores. Each holds files and a stack.
pub const WORKERS_MAX: u16 = 1024;

// --- HTTP/2, on every end that is ours ---

/// Flow control window of one stream, each way. 512 KiB carry 10 MB/s at 50 ms round trip time, and
/// this much is what one stalled stream can hold in the hub.
pub const STREAM_WINDOW: u32 = 512 * KIB;
/// What a peer is told of a stream's window at first; it grows as the other side takes what comes, up to
/// [`STREAM_WINDOW`]. gRPC implementations begin with as much, so a stalled call costs no more than theirs.
pub const FIRST_WINDOW: u32 = 64 * KIB;
/// Windows grow by so much at least, not by every message: half a first window, so that it is never used
/// up before it grows.
pub const WINDOW_STEP: u32 = 32 * KIB;
/// Bytes a second that an answer gets without growing, however far away the agent is: what
/// [`STREAM_WINDOW`] carries at 50 ms.
pub const FIRST_RATE: u32 = 10_000_000;
/// Flow control window of a connection: the largest that RFC 9113 6.9.1 allows, so that only stream
/// windows hold a slow reader back and nobody waits for somebody else's bytes.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Largest frame we take. Bigger frames make for fewer and bigger reads; beyond 64 KiB a frame holds
/// up the other streams of a thin link.
pub const MAX_FRAME_SIZE: u32 = 64 * KIB;
/// Bytes of one stream that h2 takes for sending before the splice stops reading the other side. A frame
/// costs some 300 bytes there besides its payload, so this holds down what slow small messages cost; two
/// frames of 16 KiB keep a connection busy.
pub const MAX_SEND_BUFFER: usize = 32 * KIB as usize;
/// Bytes of a header list that a client may send. gRPC's own default is 8 KiB; tokens make it grow.
/// Well below 64 KiB: hyper, and so tonic, takes 16 KiB, answers up to four times that with 431, and ends
/// the connection, which here is everybody's session, beyond. The hub may add an `:authority` to it.
pub const MAX_HEADER_LIST: u32 = 48 * KIB;
/// Bytes of a header list that h2 takes from a client before it answers 431 itself; between the two limits
/// the hub does, with a `hub-reason` and a gRPC status.
pub const MAX_HEADER_LIST_READ: u32 = 64 * KIB;
/// Bytes of a header list that an upstream may answer with. Above the clients' limit, so that a server
/// which echoes what it got does not lose its answer.
pub const MAX_RESPONSE_HEADER_LIST: u32 = 96 * KIB;
/// Bytes of a header list that h2 takes from an upstream. Far beyond the limit, because what goes beyond
/// this ends the connection, which is everybody's: h2 allows a list as many CONTINUATION frames as it
/// would need at the largest frame size, and servers send smaller ones.
pub const MAX_RESPONSE_HEADER_LIST_READ: u32 = MIB;
/// Calls at once on one client connection; a gRPC client queues what goes beyond. With the stream
/// window this is the memory one client can hold.
pub const MAX_CLIENT_STREAMS: u32 = 1024;
/// Calls at once on one lane of an agent that serves them itself. Beyond it the hub opens another lane, or waits.
pub const MAX_SERVICE_STREAMS: u32 = 4096;
/// 1xx responses before the real one. They have no flow control; servers send one or two. All of them together may
/// be as large as one head, [`MAX_RESPONSE_HEADER_LIST`].
pub const INFORMATIONAL_MAX: u8 = 16;
/// Calls at once on the first lane of an agent, until its upstream's SETTINGS say otherwise.
pub const INITIAL_MAX_LANE_STREAMS: usize = 100;
/// Unread DATA below 256 bytes costs h2 a share of this budget; used up, the *connection* dies. One
/// stalled stream of 25-byte messages needs 4.8 MB of it, and splices read eagerly, so a client that
/// uses up this much is flooding.
pub const CLIENT_DATA_FRAME_BUDGET: usize = 64 * MIB as usize;
/// HEADERS followed by RST_STREAM before the hub has seen the call: h2's default of 20 is reached by one
/// read of an honest client that gives up a batch of calls.
pub const CLIENT_PENDING_RESETS: usize = 1024;
/// Streams of one client connection that end because the client breaks the protocol on them, before the connection
/// does: no honest one does so twice, but whoever may do it a thousand times has that much work done for nothing.
/// Those that are refused because they are more than [`MAX_CLIENT_STREAMS`] count, too, and a client may not know yet.
pub const CLIENT_BREACHES: usize = 256;
/// Streams that the hub has ended on a client's connection and still remembers, in times of all that may be open:
/// late frames for them are no breach.
pub const CLIENT_RESETS_REMEMBERED: usize = 4;
/// For how long it remembers them: a window of [`STREAM_WINDOW`] takes as long at 1 Mbit/s.
pub const CLIENT_RESET_MEMORY: Duration = Duration::from_secs(5);
/// Streams that a lane cancelled and still remembers, so that late frames for them are no error.
pub const LANE_RESETS_REMEMBERED: usize = 10_000;
/// For how long it remembers them: longer than any honest round trip.
pub const LANE_RESET_MEMORY: Duration = Duration::from_secs(30);
/// How long a reset waits for the bytes before it. They are at most [`MAX_SEND_BUFFER`] and a frame, which
/// a link of 3 Mbit/s takes in this time; where the client's window is used up to the byte, none are left
/// and it waits in vain.
pub const RESET_FLUSH: Duration = Duration::from_millis(250);
/// Small chunks that wait for a window are copied together up to this size: one frame instead of many.
pub const COALESCE_BYTES: usize = 16 * KIB as usize;
/// How long a call may wait where its lanes have as many streams as their upstreams take.
pub const STREAM_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many calls of one caller for one name may wait so: all that a client connection may have open.
pub const STREAM_QUEUE_MAX: usize = MAX_CLIENT_STREAMS as usize;
/// A server that has answered in full may go on reading the request. If nothing of it moves for this
/// long, the call is over.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// What one connection may do at a stretch, in bytes, before others on its thread get their turn. 32 KiB
/// take some 30 us; yielding costs about 1 us, so bulk does not notice.
pub const WORK_TURN: usize = 32 * KIB as usize;
/// What a frame or message costs of a turn besides its bytes: small ones take about as long to deal with
/// as a KiB to copy.
pub const WORK_PER_FRAME: usize = KIB as usize;
/// What the head of a call costs of it: to decode it and begin a call takes about as long as copying these.
pub const WORK_PER_CALL: usize = 8 * KIB as usize;
/// What a byte of a head may cost of it: a reference to a field that came before takes one, and to decode it as
/// long as to copy so many.
pub const WORK_PER_HEAD_BYTE: usize = 64;
/// Frames shorter than this on average are read in small portions, so that one read is not a turn's work.
pub const SMALL_FRAME: usize = 128;
/// The size of such a portion.
pub const SMALL_READ: usize = KIB as usize;

// --- floods, on the connection of whoever floods ---

/// Frames that carry nothing of a call (PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones) that a
/// client or an upstream may have sent beyond what calls explain. Over it, the connection is a flood and is ended.
/// Time forgives 256 a second.
pub const OVERHEAD: Rate = Rate { burst: 4096, per: Duration::from_secs(16) };
/// A SETTINGS frame counts as so many: it is answered, and may touch every open stream.
pub const SETTINGS_WEIGHT: u32 = 64;
/// What one frame of a call, of either direction, explains: window updates for stream and connection, a
/// ping to measure the round trip time, and the empty DATA that some libraries end their writes with.
pub const EXPLAINED_BY_FRAME: u32 = 4;
/// And one more for so many bytes of it: a receiver may give the windows of stream and connection back with
/// every read, and applications read 512 bytes at a time. To look at such a frame takes less than to pass on as
/// many bytes.
pub const EXPLAINING_BYTES: usize = 256;
/// So many are explained at most: all that a receiver says of 256 MiB which it had not read.
pub const EXPLAINED_MAX: u32 = 1 << 20;
/// Calls that a client may give up before its next ones wait: all that one connection can have open, twice over, and
/// as many again in two seconds. To open a call at an upstream and to take it back costs a thread some 30 us, so one
/// client cannot keep more than a thirtieth of it busy so. nghttp2 allows 1000 and 33 a second, and hangs up.
pub const CLIENT_RESETS: Rate = Rate { burst: 2 * MAX_CLIENT_STREAMS, per: Duration::from_secs(2) };
/// Bytes of a request's head that cost nothing beyond their turn: a gateway's tokens of 16 KiB, and what else it
/// sends.
pub const HEAD_BYTES_FREE: u32 = 20 * KIB;
/// Bytes beyond that, of all heads of a connection: to decode and encode so many takes some milliseconds. A connection
/// may have 64 heads of 28 KiB a second, and is read no further until then.
pub const HEAD_BYTES: Rate = Rate { burst: 256 * KIB, per: Duration::from_millis(500) };
/// Bytes of an upstream's heads that cost nothing beyond their turn: answers are short, and what is always the
/// same in them takes a byte or two.
pub const ANSWER_HEAD_BYTES_FREE: u32 = KIB;
/// Bytes beyond that, of all heads of a lane: 2 MiB a second, which take a sixth of a thread's time where each byte
/// stands for a field (77 ns), and are 680 answers of 4 KiB. The lane is read no further until then.
pub const ANSWER_HEAD_BYTES: Rate = Rate { burst: MIB, per: Duration::from_millis(500) };
/// HEADERS frames that one call explains on its lane: 1xx, the head of the answer, and trailers.
pub const EXPLAINED_BY_CALL: u32 = INFORMATIONAL_MAX as u32 + 2;
/// DATA frames of less than [`SMALL_FRAME`] that are read from one connection at once, where more follow.
/// 100,000 a second follow, which is more than a stream of small messages brings about, and what one thread passes on
/// in a twentieth of its time.
pub const SMALL_DATA: Rate = Rate { burst: 4096, per: Duration::from_millis(40) };
/// Calls that the hub itself answers one connection at once: its own services, and refusals.
/// What goes beyond waits for its answer. A client that looks through 10,000 names of which none is there is told so in
/// two seconds.
pub const ANSWERS: Rate = Rate { burst: 1024, per: Duration::from_millis(250) };
/// How long whoever floods is left waiting before its connection ends. It would open another and flood that:
/// so once a second, not as fast as the hub can end them. Nothing is read meanwhile.
pub const OFFENDER_PAUSE: Duration = Duration::from_secs(1);
/// The same for a refused HTTP/1.1 request, which may be a person's mistake.
pub const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// Calls of one connection that are begun before others on its thread get their turn.
pub const ACCEPT_TURN: usize = WORK_TURN / WORK_PER_CALL;

// --- WebSocket ---

/// Read buffer of one WebSocket. tungstenite allocates it for every connection, idle or not; its own
/// default of 128 KiB would cost 10,000 idle sessions 1.3 GB.
pub const WS_READ_BUFFER: usize = 16 * KIB as usize;
/// Bytes of messages that are written to the socket in one go.
pub const WS_WRITE_BUFFER: usize = 32 * KIB as usize;
/// Never reached while writers wait for readiness, one message at a time: a guard against our own bugs.
pub const WS_MAX_WRITE_BUFFER: usize = 1024 * KIB as usize;
/// The largest message taken. Ours are at most [`WS_MESSAGE_BYTES`]; a newer peer's may be larger, but a
/// message is held in memory until it is whole.
pub const WS_MAX_MESSAGE: usize = 64 * KIB as usize;
/// The largest message sent: DATA of a lane, and before it the kind and the lane.
pub const WS_MESSAGE_BYTES: usize = 5 + LANE_DATA_MAX;
/// Messages without data (control, pings, pongs) that a peer may have sent at once. Each is rare: a drain,
/// a ping an interval.
pub const WS_IDLE_MESSAGES: Rate = Rate { burst: 64, per: Duration::from_secs(8) };
/// Control messages waiting, each way. They are rare and say little; a peer that fills this is broken.
pub const CONTROL_QUEUE: usize = 16;
/// How long the closing handshake of a WebSocket may take before the socket is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two turns of reading what comes while a WebSocket closes: 6 MB a second of what nobody wants.
pub const CLOSING_PAUSE: Duration = Duration::from_millis(5);
/// How long the last sessions may take to close: both waits of that handshake, and a margin.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(2 * CLOSE_TIMEOUT.as_secs() + 1);
/// Default of `--keepalive-interval`: below the idle limits of what stands between (nginx and AWS ALB
/// 60 s, Cloudflare 100 s, AWS NLB 350 s; some mobile carriers 30 s).
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Default of `--keepalive-timeout`: nothing heard for this long means dead. Two missed pings.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);

// --- lanes ---

/// Bytes that either end of a lane may send before the other has said anything. Part of the wire contract.
pub const LANE_FIRST_CREDIT: u32 = 64 * KIB;
/// Bytes on their way on one lane, each direction, once it has used half of the first ones: 25 MB/s at 10 ms.
pub const LANE_CREDIT: u32 = 256 * KIB;
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
/// Pieces smaller than this are copied together while they wait to be read.
pub const LANE_COPY_BELOW: usize = 2 * KIB as usize;
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
pub const LANES_MAX: u32 = 1024;

// --- lanes, at the hub ---

/// Agents of one name that one caller has lanes to, on one connection: enough to go on when one goes, and few
/// enough that a thousand callers of fifty agents are no fifty thousand connections.
pub const LANE_AGENTS: usize = 3;
/// Lanes to one of them, for want of streams: an upstream's limit of streams is a protection, which callers who dial
/// it themselves meet too.
pub const LANES_OF_AGENT: usize = 4;
/// A lane takes its turn while it has no more calls in flight than so many beyond the least busy one's. Callers with
/// few calls at once are spread evenly so, and an agent that is stuck keeps no more of them.
pub const LANE_LEAD: usize = 8;
/// How long a lane may be idle while fewer than half of its agent's lanes are in use: gRPC servers are commonly
/// called again within a minute.
pub const LANE_IDLE: Duration = Duration::from_secs(60);
/// The same where more are in use.
pub const LANE_IDLE_SCARCE: Duration = Duration::from_secs(5);
/// The least that is learned from an upstream that ends idle connections itself.
pub const LANE_IDLE_MIN: Duration = Duration::from_secs(1);
/// A lane that has been idle for so long may be ended for a new one.
pub const LANE_EVICTED_AFTER: Duration = Duration::from_secs(1);
/// How long a lane that is to be opened waits for another to end.
pub const LANE_PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// Lanes that are being opened at once, of all agents: each is a dial and a handshake at the agent.
pub const LANES_OPENING: usize = 256;
/// Lanes that one source may have opened at one agent: an agent has some 28,000 ports for connections to its upstream,
/// and each is taken for a minute (TIME_WAIT), which makes 470 a second.
pub const OPENS: Rate = Rate { burst: 512, per: Duration::from_secs(1) };
/// Sources that one agent tells apart so; all others count as one.
pub const OPENS_SOURCES: usize = 1024;
/// How often a lane that waits for that looks whether it may be opened.
pub const LANE_OPEN_PAUSE: Duration = Duration::from_millis(5);
/// How often the first of the calls that wait for a lane looks by itself.
pub const LANE_LOOK: Duration = Duration::from_millis(250);
/// How long an agent that has failed a lane is left alone at first, and at most.
pub const AGENT_OUT_MIN: Duration = Duration::from_secs(1);
/// At most; each failure doubles it.
pub const AGENT_OUT_MAX: Duration = Duration::from_secs(30);
/// How long a caller does without a lane whose lane was ended for cause, at first.
pub const PENALTY_MIN: Duration = Duration::from_millis(500);
/// At most; each time doubles it.
pub const PENALTY_MAX: Duration = Duration::from_secs(30);
/// After so long without another, the next one is a first one again.
pub const PENALTY_FORGIVEN: Duration = Duration::from_secs(60);
/// A lane that had a call within this time is ended for what its caller did, if its upstream says that there was an
/// error. C-core says so of connections that were idle for long.
pub const LANE_ENDED_LATELY: Duration = Duration::from_secs(1);
/// Requests of a lane of which is known where they began, to tell whether they were delivered: as many as may run.
pub const LANE_HEADS_REMEMBERED: usize = 1024;
/// Names of which one client connection remembers its lanes; beyond it, those without lanes are forgotten.
pub const POOL_GROUPS: usize = 64;

// --- relay ---

/// Buffer for what the upstream sends, held while there is something to read: one DATA frame.
pub const RELAY_BUFFER: usize = LANE_DATA_MAX;

// --- hub ---

/// A limit that is reached again and again is logged once in this time, with the number of the rest.
pub const LIMIT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Default of `--drain-timeout`: Kubernetes kills after 30 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept (out of file descriptors): long enough not to spin, short enough not to be seen.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections accepted and not yet taken by a worker.
pub const WORKER_QUEUE: usize = 1024;
/// Events that a slow watcher of activity may be behind before it loses some.
pub const ACTIVITY_BUFFER: usize = 1024;
/// Events that all watchers of activity together are shown in [`ACTIVITY_PAUSE`], whether they may see them or
/// not: 20,000 a second, each of which wakes a watcher, and is encoded and written for it, which takes a fifth of
/// a core or so. Each has its share; what goes beyond waits among the last [`ACTIVITY_BUFFER`], until it is
/// lost.
pub const ACTIVITY_EVENTS: usize = 2000;
/// The time in which they are shared out: a person who watches does not notice that some come so late.
pub const ACTIVITY_PAUSE: Duration = Duration::from_millis(100);
/// Between two looks of one watcher of health. Any change of any name wakes all of them; the last state is
/// told in the end, and one that was over sooner is of use to nobody.
pub const HEALTH_PAUSE: Duration = Duration::from_millis(100);
/// All watchers of health together look once in so much time, 20,000 times a second: each look may be a message,
/// and these take a quarter of a core. A few tell a change at once; where there are thousands, they spread over
/// the time that all of them need, and pause for as long.
pub const HEALTH_LOOK: Duration = Duration::from_micros(50);
/// Agents on one page of a list, at most.
pub const LIST_PAGE: usize = 500;
/// Bytes of a page, at most: gRPC clients take 4 MiB. The [`OWN_CALLS`] pages that a connection can leave unread
/// hold 64 MiB, less than as many stalled calls hold (`stalled_call_kib`), so `client_connection_mib` covers them.
pub const LIST_PAGE_BYTES: usize = 256 * KIB as usize;
/// Names and sessions that one page looks at, while nobody can register: less than a millisecond. A page without
/// agents is what a caller gets that may see none of so many names.
pub const LIST_SCAN: usize = 4096;
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
/// Log lines that wait to be written; more are lost, and counted.
pub const LOG_QUEUE: usize = 4096;
/// How long a program that ends waits for its last lines to be written.
pub const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections at once, agents' and clients' together; less where the system allows fewer open files.
/// Default of `--max-connections`: 64 KiB each is what an idle one may cost, so these cost 4 GiB.
pub const CONNECTIONS: usize = 65_536;
/// Open files that are not connections: listeners, runtimes, certificate and token files.
pub const OTHER_FILES: u64 = 64;
/// Head of an HTTP/1.1 request: labels and a token take less than half of it, the rest is for what proxies add.
pub const REQUEST_HEAD: usize = 16 * KIB as usize;
/// Connections that have not shown yet what they want. Each holds some 20 KiB, and at most [`REQUEST_HEAD`]
/// more; when more come, the oldest
/// goes, so an honest one that takes 100 ms gets through unless 20,000 a second are opened.
pub const HANDSHAKES: usize = 2048;
/// Calls of one client connection to the hub's own services at once. Watches stay open; a client has one
/// for each name that it balances by.
pub const OWN_CALLS: usize = 256;
/// Registrations from one address at once: a fleet behind one NAT comes back whole.
/// 128 a second follow.
pub const REGISTRATIONS: Rate = Rate { burst: 4096, per: Duration::from_secs(32) };
/// Addresses whose registrations are told apart; all others count as one.
pub const REGISTRANTS: usize = 4096;
/// Characters of a stranger's text in a log line.
pub const LOGGED_MAX: usize = 128;

// --- agent ---

/// First pause before dialling again. The next ones grow with the time that was waited already; the real pause is
/// random between 0 and it.
pub const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest pause. A fleet of 10,000 agents that lost its hub for long comes back at about 700 dials a second; one
/// that lost it for some seconds, within as many.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Pause where the hub refused for good (bad name, bad token): somebody has to change something.
pub const BACKOFF_FATAL: Duration = Duration::from_secs(60);
/// A session that lived this long may be replaced at once, however often: nginx ends a connection after
/// 1000 requests, which a busy one has served in less than a second. What lives shorter is a loop.
pub const REPLACED_AT_ONCE: Duration = Duration::from_millis(50);
/// A session that lived this long was stable: the next loss starts with the shortest pause again.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Pause where hub and agent speak different versions: one of them is being upgraded, and agents should be back soon
/// after.
pub const BACKOFF_VERSION: Duration = Duration::from_secs(10);
/// From the opening of a lane to its connection to the upstream: less than the hub waits for an upstream's SETTINGS
/// ([`SETTINGS_TIMEOUT`]), so that it hears why there are none.
pub const LANE_DIAL_TIMEOUT: Duration = Duration::from_secs(SETTINGS_TIMEOUT.as_secs() - 2);
/// Dials to the upstream at once.
pub const LANE_DIALS: usize = 32;
/// How long the upstream may go on after the hub has ended a lane: the hub itself waits no longer.
pub const LANE_AFTER_HUB: Duration = Duration::from_secs(1);
/// How long a new lane waits for the place of one that has ended: twice what that one takes to end.
pub const LANE_PLACE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the hub may go on after the upstream has ended a lane; what it says is dropped.
pub const LANE_AFTER_UPSTREAM: Duration = Duration::from_secs(10);
/// How often an upstream is asked for life, at most, that ends connections while nobody calls.
pub const UPSTREAM_CHECK: Duration = Duration::from_secs(1);
/// How often an upstream is dialled that was reachable less than [`UPSTREAM_RETRY_LONG`] ago.
pub const UPSTREAM_RETRY_SOON: Duration = Duration::from_secs(1);
/// How often later.
pub const UPSTREAM_RETRY: Duration = Duration::from_secs(5);
/// When it is later.
pub const UPSTREAM_RETRY_LONG: Duration = Duration::from_secs(60);
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
