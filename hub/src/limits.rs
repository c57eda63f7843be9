//! Every limit of the hub that is no other program's, with its reason. Nothing waits, queues or grows without one.

mod seen;

use std::time::Duration;

use switch::{ANSWER_HEAD_MAX, INFORMATIONAL_MAX, TRAILERS_MAX};
use tunnel::limits::MAX_RESPONSE_HEADER_LIST;
use tunnel::token_bucket::Rate;
use tunnel::ws::KeepaliveConfig;

pub use self::seen::*;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

// --- handshakes ---

/// A peer that has connected must finish TLS and show its first bytes within this, and then send its HTTP/1.1 head or
/// HTTP/2 preface within this again. A slow mobile link needs about 3 s for TLS; 10 s leaves room and bounds idle
/// sockets.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A PROXY header of version 1, its end of line included (proxy-protocol.txt 2.1).
pub const PROXY_V1_BYTES: usize = 107;
/// What follows the head of one of version 2: addresses, and what a balancer tells of TLS, a client's certificate included.
pub const PROXY_V2_BYTES: usize = 16 << 10;
/// The highest number of worker threads: more than any machine has cores. Each holds files and a stack.
pub const WORKERS_MAX: u16 = 1024;

// --- other hubs ---

/// Addresses of hubs that agents are told of: more than anybody runs, and with 255 bytes each less than a message may have.
pub const PUBLIC_URIS: usize = 64;
/// All agents are told that a hub has come or gone within so long for each of their sessions: 10,000 of them a second cost what
/// each writes and wakes, beside calls; but within this at most, for agents look for another hub then.
pub const HUBS_TOLD: Duration = Duration::from_micros(100);
/// See [`HUBS_TOLD`].
pub const HUBS_TOLD_MOST: Duration = Duration::from_secs(1);
/// Connections that one hub has to another at most: one a worker, as for agents.
pub const PEER_SLOTS: u16 = 4;
/// Handshakes of other hubs at once. There are few of them; more wait in the kernel.
pub const PEER_HANDSHAKES: usize = 32;
/// Lanes that another hub may have open on one connection: each is a caller's connection to a server.
pub const PEER_LANES: usize = 1 << 16;
/// Pings between hubs, and how long a silence may last: they are near each other, and what is lost with one is much.
pub const PEER_KEEPALIVE: KeepaliveConfig =
    KeepaliveConfig { interval: Duration::from_secs(2), timeout: Duration::from_secs(8) };
/// How long a connection to another hub may take, once its name is looked up: after a link was cut, TCP's next attempt may be
/// many seconds away, a new one is not.
pub const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest pause before another hub is dialled again.
pub const PEER_BACKOFF: Duration = Duration::from_secs(2);
/// When an address is dialled again that has led back to this hub.
pub const PEER_MYSELF: Duration = Duration::from_secs(60);
/// When another hub is asked again what there is, if it has ended its answer.
pub const PEER_AGAIN: Duration = Duration::from_millis(500);
/// How long news for other hubs wait for more: a fleet that comes back registers hundreds a second.
pub const PEER_NEWS: Duration = Duration::from_millis(20);
/// Of a name with more sessions than this, other hubs are not told anew how far an agent is.
pub const PEER_RTT_SESSIONS: usize = 64;
/// How far an agent is changes by more than this before other hubs are told: windows of lanes depend on no less.
pub const PEER_RTT_LEAST: Duration = Duration::from_millis(2);
/// Longer, where much is told: so many bytes a second,
pub const PEER_NEWS_BYTES: u32 = 2 << 20;
/// but no longer than this.
pub const PEER_NEWS_MOST: Duration = Duration::from_millis(250);
/// Bytes after which a message to another hub is full: of names, and of the agents of each.
pub const PEER_MESSAGE_ENOUGH: usize = 256 << 10;
/// Agents of one name that other hubs are told of: more than a caller's connection ever takes turns over.
pub const PEER_AGENTS: usize = 1000;
/// Messages that wait for another hub to take them.
pub const PEER_MESSAGES: usize = 4;
/// Bytes of one message of another hub: [`PEER_MESSAGE_ENOUGH`], and a name with [`PEER_AGENTS`] agents of 3 KiB each.
pub const PEER_MESSAGE_BYTES: usize = 4 << 20;
/// Bytes of an event of another hub: names and what a server says of its end are shorter; a thousand of them wait.
pub const PEER_EVENT_BYTES: usize = 64 << 10;
/// When a hub is asked again that does not tell what happens at it, being older.
pub const PEER_AGAIN_LATER: Duration = Duration::from_secs(60);
/// How long an answer of another hub is waited for, and then each message until it has told all that there is.
pub const PEER_ANSWER: Duration = Duration::from_secs(10);
/// How long a hub that has just started is not ready, while it has not heard all names of all other hubs: those that live dial
/// it within [`PEER_BACKOFF`], and tell 10,000 names in less than a second (docs/cluster.md); one that has died may stay in the
/// directory for [`DIRECTORY_LEASE`]. Calls are parked for longer: [`STARTING`].
pub const BEGINNING: Duration = Duration::from_secs(5);
/// How long an agent of another hub is left alone that this one said it has not: that it has gone is on its way.
pub const PEER_DOUBT: Duration = Duration::from_millis(100);
/// Names of another hub: as many take some 500 MB here.
pub const PEER_NAMES_MAX: usize = 1_000_000;
/// A hub's lease in the directory: that of one which has died tells others to dial for so long.
pub const DIRECTORY_LEASE: Duration = Duration::from_secs(15);
/// How long an answer of the directory is waited for.
pub const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a directory is pinged, which may be silent for long.
pub const DIRECTORY_PING: Duration = Duration::from_secs(5);
/// The longest pause before the directory is tried again.
pub const DIRECTORY_BACKOFF: Duration = Duration::from_secs(5);
/// So many names are written at once: with 2 ms each, 10,000 take less than a second after a lease was lost.
pub const CLAIMS_AT_ONCE: usize = 32;
/// When it is tried again to write who has a name exclusively, or to take that back.
pub const CLAIMS_AGAIN: Duration = Duration::from_secs(2);
/// Bytes of one answer of the directory: it writes 100 bytes a hub.
pub const DIRECTORY_MESSAGE_BYTES: usize = 4 << 20;
/// How long one direction of a relayed lane may go on after the other has ended; the agent itself waits less.
pub const PEER_LANE_AFTER: Duration = Duration::from_secs(5);

// --- HTTP/2 ---

/// Bytes of a header list that a client may send. gRPC's own default is 8 KiB; tokens make it grow.
/// Well below 64 KiB: hyper, and so tonic, takes 16 KiB, answers up to four times that with 431, and ends
/// the connection, beyond. The hub may add an `:authority` to it.
pub const MAX_HEADER_LIST: u32 = TRAILERS_MAX as u32;
// Two tables say it, for two programs.
const _: () = assert!(ANSWER_HEAD_MAX == MAX_RESPONSE_HEADER_LIST as usize);
/// Callers of one connection that are remembered though they owe nothing: a proxy may have thousands.
pub const CALLERS_REMEMBERED: usize = 256;
/// Calls at once on one client connection; a gRPC client queues what goes beyond. With the stream
/// window this is the memory one client can hold.
pub const MAX_CLIENT_STREAMS: u32 = 1024;
/// Calls at once on the first lane of an agent, until its upstream's SETTINGS say otherwise.
pub const INITIAL_MAX_LANE_STREAMS: usize = 100;
/// Streams of one client connection that end because the client breaks the protocol on them, before the connection
/// does: no honest one does so twice, but whoever may do it a thousand times has that much work done for nothing.
/// Those that are refused because they are more than [`MAX_CLIENT_STREAMS`] count, too, and a client may not know yet.
pub const CLIENT_BREACHES: usize = 256;
/// How long a call may wait where its lanes have as many streams as their upstreams take.
pub const STREAM_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many calls of one caller for one name may wait so: all that a client connection may have open.
pub const STREAM_QUEUE_MAX: usize = MAX_CLIENT_STREAMS as usize;
/// A server that has answered in full may go on reading the request. If nothing of it moves for this
/// long, the call is over.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(30);
/// What the head of a call costs of it: to decode it and begin a call takes about as long as copying these.
pub const WORK_PER_CALL: usize = 8 * KIB as usize;
/// What a byte of a head may cost of it: a reference to a field that came before takes one, and to decode it as
/// long as to copy so many.
pub const WORK_PER_HEAD_BYTE: usize = 64;

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
/// Calls that a caller may give up before its next ones wait, and its connection, where nobody else calls on it, is
/// read no further. Who hedges its calls, or has a deadline that many miss, gives up a thousand a second and must not
/// notice. nghttp2 allows 1000 and 33 a second, and hangs up.
pub const CLIENT_RESETS: Rate = Rate { burst: 1024, per: Duration::from_secs(1) };
/// Bytes of a request's head that cost nothing beyond their turn: a gateway's tokens of 16 KiB, and what else it
/// sends.
pub const HEAD_BYTES_FREE: u32 = 18 * KIB;
/// Bytes beyond that, of all heads of a caller: to decode and encode so many takes some milliseconds. It may have 64
/// heads of 26 KiB a second; others wait, and a connection that is its own is read no further meanwhile.
pub const HEAD_BYTES: Rate = Rate { burst: 256 * KIB, per: Duration::from_millis(500) };
/// Bytes of an upstream's heads that cost nothing beyond their turn: answers are short, and what is always the
/// same in them takes a byte or two.
pub const ANSWER_HEAD_BYTES_FREE: u32 = KIB;
/// Bytes beyond that, of all heads of a lane: 2 MiB a second, which take a sixth of a thread's time where each byte
/// stands for a field (77 ns), and are 680 answers of 4 KiB. The lane is read no further until then.
pub const ANSWER_HEAD_BYTES: Rate = Rate { burst: MIB, per: Duration::from_millis(500) };
/// HEADERS frames that one call explains on its lane: 1xx, the head of the answer, and trailers.
pub const EXPLAINED_BY_CALL: u32 = INFORMATIONAL_MAX as u32 + 2;
/// DATA frames of less than `SMALL_FRAME` that are read from a caller's own connection at once, where more follow.
/// 100,000 a second follow, which is more than a stream of small messages brings about, and what one thread passes on
/// in a twentieth of its time.
pub const SMALL_DATA: Rate = Rate { burst: 4096, per: Duration::from_millis(40) };
/// After PINGs of a client were answered for which alone the hub had to write, the next ones wait so long for something
/// that they can go with: who measures a round trip is answered at once, and who pings as fast as it is answered costs a
/// write a millisecond, not one for each. grpc-go pings with each answer that it gets, which is company enough.
pub const PING_PAUSE: Duration = Duration::from_millis(1);
/// Calls that the hub itself answers one caller of a connection at once: its own services, and refusals.
/// What goes beyond waits for its answer. A client that looks through 10,000 names of which none is there is told so in
/// two seconds.
pub const ANSWERS: Rate = Rate { burst: 1024, per: Duration::from_millis(250) };
/// How long a refused HTTP/1.1 request waits for its answer: less than who floods, for it may be a person's mistake.
pub const REFUSAL_PAUSE: Duration = Duration::from_millis(250);

// --- a client's connection ---

/// Bytes that are read of a client at once.
pub const CLIENT_READ: usize = 32 * KIB as usize;
/// Bytes of answers to PING, SETTINGS and the like, and of heads, that wait for a client before it is read no further.
/// DATA does not count: a proxy that waits for its own peer must still be heard.
pub const CLIENT_OUTPUT: usize = 96 * KIB as usize;
/// Bytes on their way to or from the hub's own services, of one caller of a connection.
pub const OWN_LANE_BYTES: usize = 64 * KIB as usize;

/// Bytes of a message in Connect's unary form: its length, or its outcome, is said before it, so it must be whole. gRPC's own
/// libraries take 4 MiB by default; what goes beyond can be streamed. All that wait so count among what the hub holds.
pub const WEB_MESSAGE_MAX: usize = 64 * MIB as usize;

/// The window of each stream in memory: what lies in it counts nowhere, and there is no way to be filled.
pub const WEB_STREAM_WINDOW: u32 = 64 * KIB;
/// Streams in memory that are remembered after they were given up, so that what is still on its way on them is no breach: all
/// that a connection may have.
pub const WEB_RESETS_KEPT: usize = MAX_CLIENT_STREAMS as usize;

// --- lanes, at the hub ---

/// Agents of one name that one caller has lanes to, on one connection: enough to go on when one goes, and few
/// enough that a thousand callers of fifty agents are no fifty thousand connections.
pub const LANE_AGENTS: usize = 3;
/// Lanes to one of them, for want of streams: an upstream's limit of streams is a protection, which callers who dial
/// it themselves meet too.
pub const LANES_OF_AGENT: usize = 4;
/// A lane takes its turn while it has no more calls in flight than the least busy one, one, and as many again, up to so
/// many more. Callers are spread evenly so, and an agent that is stuck keeps few of them.
pub const LANE_LEAD: usize = 8;
/// How long a lane may be idle while fewer than half of its agent's lanes are in use: gRPC servers are commonly
/// called again within a minute.
pub const LANE_IDLE: Duration = Duration::from_secs(60);
/// The same where more are in use.
pub const LANE_IDLE_SCARCE: Duration = Duration::from_secs(5);
/// For how long the lane that has shown an upstream to be there waits for a first caller. Then the agent alone keeps
/// its connection, without HTTP/2, and an idle agent costs the hub no more than its session.
pub const SENTINEL_KEPT: Duration = Duration::from_secs(2);
/// The least that is learned from an upstream that ends idle connections itself.
pub const LANE_IDLE_MIN: Duration = Duration::from_secs(1);
/// A lane that takes nothing for so long of what waits for it is given up: its server, or its agent, has stopped.
pub const LANE_STUCK: Duration = Duration::from_secs(30);
/// A lane that has been idle for so long may be ended for a new one.
pub const LANE_EVICTED_AFTER: Duration = Duration::from_secs(1);
/// How long a lane that is to be opened waits for its turn, and for another to end.
pub const LANE_PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// Lanes of one agent that are being opened at once: each is a dial and a handshake at the agent. Enough for a thousand
/// a second over a link with a round trip of a quarter of a second.
pub const LANES_OPENING: usize = 256;
/// Lanes that one source may have opened at one agent: an agent has some 28,000 ports for connections to its upstream,
/// and each is taken for a minute (TIME_WAIT), which makes 470 a second. A fleet of callers that comes back, or a thousand
/// connections with a call each, is let through at once.
pub const OPENS: Rate = Rate { burst: 4096, per: Duration::from_secs(8) };
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
/// Names of which one client connection remembers its lanes; beyond it, those without lanes are forgotten.
pub const POOL_GROUPS: usize = 64;

// --- hub ---

/// Of all memory, the part that bytes may take which wait in the hub for those whom they are for.
pub const HELD_PART: usize = 4;
/// The same where it is not known how much memory there is.
pub const HELD_UNKNOWN: usize = 1 << 30;
/// A connection tells the others what it holds when that has changed by so many bytes. What is less is not counted: of
/// all connections together no more than they may cost idle.
pub const HELD_STEP: usize = 16 * KIB as usize;

/// Default of `--lane-memory`: five lanes to agents that are 100 ms away, with 16 MiB in each of their windows.
pub const LANE_MEMORY: usize = 256 * MIB as usize;
/// A limit that is reached again and again is logged once in this time, with the number of the rest.
pub const LIMIT_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Connections accepted and not yet taken by a worker.
pub const WORKER_QUEUE: usize = 1024;
/// Between two looks of one watcher of health. Any change of any name wakes all of them; the last state is
/// told in the end, and one that was over sooner is of use to nobody.
pub const HEALTH_PAUSE: Duration = Duration::from_millis(100);
/// All watchers of health together look once in so much time, 20,000 times a second: each look may be a message,
/// and these take a quarter of a core. A few tell a change at once; where there are thousands, they spread over
/// the time that all of them need, and pause for as long.
pub const HEALTH_LOOK: Duration = Duration::from_micros(50);
/// Watches of health at once: as many as connections by default. Beyond, each caller of a connection still has one, which is
/// what a gRPC client with health checks needs.
pub const HEALTH_WATCHES: usize = CONNECTIONS;
/// Bytes of a list of health, which has no pages: some 40,000 names of 16 characters, or 7,600 of 128. A quarter of what gRPC clients
/// take by default (4 MiB), for the [`OWN_CALLS`] lists that a connection can leave unread hold 256 MiB.
pub const HEALTH_LIST_BYTES: usize = MIB as usize;
/// Agents on one page of a list, at most.
pub const LIST_PAGE: usize = 500;
/// Bytes of a page, at most: gRPC clients take 4 MiB. The [`OWN_CALLS`] pages that a connection can leave unread
/// hold 64 MiB, on lanes in memory.
pub const LIST_PAGE_BYTES: usize = 256 * KIB as usize;
/// Names and sessions that one page looks at, while nobody can register: less than a millisecond. A page without
/// agents is what a caller gets that may see none of so many names.
pub const LIST_SCAN: usize = 4096;
/// Names remembered after their last session went, to tell `offline` from `unknown-name`: as many, and up to twice as many. More
/// than a hub has agents, so that calls wait for all of them when another hub is lost; each takes a KiB, and 3 KiB more
/// while it is one of [`NAMES_LATELY`].
pub const REMEMBERED_NAMES: usize = 50_000;
/// So many of them are forgotten at a stretch.
pub const FORGOTTEN_AT_ONCE: usize = 1000;
/// For how long they are remembered.
pub const REMEMBER_NAME: Duration = Duration::from_secs(3600);
/// A name that went so lately is expected back: agents dial again within 30 s at most, and so does one that is started anew.
pub const PARKED_AFTER: Duration = Duration::from_secs(60);
/// For how long a hub that has just started expects every name, of which it knows none yet. A fleet of 5,000 is back in
/// that time (docs/faults.md). For which of them other hubs have, [`BEGINNING`] is enough.
pub const STARTING: Duration = Duration::from_secs(10);
/// Default of `--park-timeout`: what a restart of an agent takes, and less than callers commonly wait.
pub const PARK_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls that may wait for one name to come back: what 2,000 calls a second make of an absence of two seconds. They all go to
/// whoever comes first.
pub const PARKED_OF_NAME: usize = 4096;
/// Calls that may wait so for all names together. Each holds its head, and up to 64 KiB of its body.
pub const PARKED: usize = 16_384;
/// How often the sessions of one name are probed because somebody else comes, at most: where a thousand agents of one name
/// come back, each would ask for all others.
pub const PROBED_AGAIN: Duration = Duration::from_secs(1);
/// Instances of one name that are remembered because another one has taken it over from them.
pub const OUSTED_REMEMBERED: usize = 16;
/// After a session was silent, what its callers did meanwhile (calls, and that they gave them up) comes to their upstream in
/// one burst. For so long nobody is blamed for what the upstream makes of that: tonic ends a connection after 20 calls that
/// were given up before it saw them.
pub const CATCHING_UP: Duration = Duration::from_secs(5);
/// How long a session that is replaced because of its age keeps the others of its agent from being replaced, too, if the
/// agent does not tell that it has a new one.
pub const RENEWED_WITHIN: Duration = Duration::from_secs(10);
/// How long an agent with several names waits for the slower of its upstreams until it is told that it is registered: less
/// than a hub that ends waits for that ([`MOVING_TIMEOUT`]).
pub const REGISTERED_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked what is behind a name whose agent has no place to do so.
pub const PROBED_FULL: Duration = Duration::from_secs(1);
/// How long a hub that ends waits for its agents to be elsewhere before it sends clients after them, where it has clients:
/// half of the drain timeout at most, so that these have time as well.
/// It is told of each; agents that find no other hub are not waited for.
pub const MOVING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a hub that shares its port goes on accepting what is shaking hands already: longer than a round trip.
pub const LAST_HANDSHAKES: Duration = Duration::from_millis(400);
/// When a refused call may be worth trying again, where nothing better is known: a server that is away is dialled each
/// second, and whatever else is full has moved on by then.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// A refused WebSocket upgrade asks the agent to come back after this many seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;
/// And one whom a busy hub cannot take now: that passes.
pub const RETRY_BUSY_SECONDS: u32 = 1;
/// Bytes of one call that its metric may lag behind.
pub const METER_STEP: u64 = 256 * KIB as u64;
/// How often histograms are folded together; until then every call adds to memory.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// What is left to be written after the end may take this long.
pub const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of a request to the hub's own services. Theirs are empty or a name; tonic holds a message in
/// memory until it is whole, and would take 4 MiB.
pub const OWN_REQUEST_MAX: usize = 64 * KIB as usize;
/// Connections at once, agents' and clients' together; less where the system allows fewer open files.
/// Default of `--max-connections`: 64 KiB each is what an idle one may cost, so these cost 4 GiB.
pub const CONNECTIONS: usize = 65_536;
/// Head of an HTTP/1.1 request: labels, a token and sixteen long names take less than half of it, the rest is for what
/// proxies add.
pub const REQUEST_HEAD: usize = 16 * KIB as usize;
/// Connections that have not shown yet what they want. Each holds some 20 KiB, and at most [`REQUEST_HEAD`]
/// more; when more come, the oldest
/// goes, so an honest one that takes 100 ms gets through unless 20,000 a second are opened.
pub const HANDSHAKES: usize = 2048;
/// Sockets with a second handle, while it is not known what speaks HTTP/1.1 on them: half of the files that are kept for what
/// is no connection ([`OTHER_FILES`](tunnel::limits::OTHER_FILES)). Beyond, TCP does not ask such a caller for life.
pub const SECOND_HANDLES: usize = 32;
/// Calls of one client connection to the hub's own services at once. Watches stay open; a client has one
/// for each name that it balances by.
pub const OWN_CALLS: usize = 256;
/// Registrations from one address at once, each of as many as it has names: a fleet behind one NAT comes back whole.
/// 128 a second follow.
pub const REGISTRATIONS: Rate = Rate { burst: 8192, per: Duration::from_secs(64) };
/// A thread whose next turn comes no sooner than this is behind: its calls wait for so long at each step.
pub const TURN_LATE: Duration = Duration::from_millis(20);
/// Agents that register then, on all threads together: 5,000 are there within ten seconds, with one session each, however
/// busy the hub is. They have more when it is not.
pub const REGISTRATIONS_LATE: Rate = Rate { burst: 500, per: Duration::from_secs(1) };
/// Addresses whose registrations are told apart; all others count as one.
pub const REGISTRANTS: usize = 4096;
/// Characters of a stranger's text in a log line.
pub const LOGGED_MAX: usize = 128;
/// Reloads that are asked for at the admin listener: a script may do so each second.
pub const RELOADS: Rate = Rate { burst: 8, per: Duration::from_secs(4) };
