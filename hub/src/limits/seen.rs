//! Limits of what is counted, logged and shown.

use std::time::Duration;

use super::MIB;

/// Events that a slow watcher of activity may be behind before it loses some.
pub const ACTIVITY_BUFFER: usize = 1024;
/// Events that all watchers of activity together are shown in [`ACTIVITY_PAUSE`]: 20,000 a second, each of which wakes a
/// watcher, and is encoded and written for it, which takes a fifth of a core or so. Each has its share; what goes beyond waits among the last [`ACTIVITY_BUFFER`], until it is
/// lost. Other hubs are shown as many beside them.
pub const ACTIVITY_EVENTS: usize = 2000;
/// The time in which they are shared out: a person who watches does not notice that some come so late.
pub const ACTIVITY_PAUSE: Duration = Duration::from_millis(100);
/// Events kept for who comes back, of traffic and of all else: what 800 agents make of a cut network, with five each.
pub const ACTIVITY_KEPT: usize = 4096;
/// Bytes of them, of each: several times what they commonly take. A method alone may be 48 KiB.
pub const ACTIVITY_KEPT_BYTES: usize = 4 * MIB as usize;
/// For how long traffic is kept for the last watcher to come back: clients' pauses before they dial are no longer.
pub const ACTIVITY_KEPT_FOR: Duration = Duration::from_secs(60);
/// So many events that a watcher is not to see count as one that it is shown: each wakes it, but nothing is written.
pub const ACTIVITY_PASSED_OVER: usize = 8;
/// Patterns of names that one watcher may ask for: each is held against each event.
pub const ACTIVITY_NAMES: usize = 64;
/// Events on their way to one watcher; what it does not read waits among the last [`ACTIVITY_BUFFER`],
/// until it is lost.
pub const ACTIVITY_IN_HAND: usize = 16;
/// Names that have series of their own among the metrics, of some 40 each: a scrape of all of them is of 4 MiB. Default of
/// `--metrics-names`.
pub const METRICS_NAMES: usize = 1000;
/// Names whose last minutes the page shows, of those that were called: 3 KiB each. A name beyond has totals alone.
pub const NAMES_LATELY: usize = 20_000;
/// Methods of one name that are counted one by one: services have some ten, and callers choose what they call.
pub const METHODS_OF_NAME: usize = 50;
/// Methods of all names together: half a KiB each.
pub const METHODS_OF_ALL: usize = 20_000;
/// Bytes of a method that is counted by itself.
pub const METHOD_LEN: usize = 256;
/// How often what runs is looked at while anything moves, to count what has passed of it, and whom it waits for. A thousand calls
/// that run are looked at in some tens of microseconds.
pub const CALLS_LOOK: Duration = Duration::from_secs(1);
/// Names on a page of a list that says nothing of how many it wants: more than a screen shows.
pub const NAMES_PAGE: usize = 100;
/// At most: some 300 KiB.
pub const NAMES_PAGE_MAX: usize = 500;
/// Between one look at all names and the next, so many times as long passes as it took: a tenth of a core, whoever asks.
pub const SHARED_REST: u32 = 10;
/// Lists of names that are put together at once; others wait. Each goes over all names, beside calls.
pub const NAMES_LISTS: usize = 2;
/// Pages that watch what happens at once: half of the connections to the admin listener, where probes need one, too.
pub const PAGE_STREAMS: usize = tunnel::limits::ADMIN_CONNECTIONS / 2;
/// Agents that are told of one name.
pub const NAME_AGENTS: usize = 100;
/// How old what the page is told of all names may be. However many look, it is put together once in this time.
pub const OVERVIEW_AGE: Duration = Duration::from_secs(1);
/// Bytes of the access log that wait for the disk, beside as many that are being written. One that stands still for a seventh of a
/// second loses none, at 60,000 calls a second and 450 bytes each.
pub const ACCESS_LOG_WAITING: usize = 4 * MIB as usize;
/// What of that is kept for the next lines, once they are written.
pub const ACCESS_LOG_KEPT: usize = MIB as usize;
/// For how long lines gather before they are written together: a person who follows the file does not notice.
pub const ACCESS_LOG_PAUSE: Duration = Duration::from_millis(10);
/// Time that a collector has to take a lot of spans. What comes meanwhile waits, 2,048 spans unless `OTEL_BSP_MAX_QUEUE_SIZE` says
/// otherwise, and is lost beyond.
pub const SPANS_EXPORT: Duration = Duration::from_secs(5);
/// Before such a lot is sent again: a collector that restarts, or is short of memory for a moment, costs no spans. Together they
/// are shorter than the two seconds that a hub that ends waits for, so that it can still send others.
pub const SPANS_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];
/// Such a pause at most, where the collector asks for a longer one: others wait meanwhile, until there is no place for more.
pub const SPANS_PAUSE_MAX: Duration = SPANS_PAUSES[2];
/// Characters of what a collector says that the log has.
pub const SPANS_WORDS: usize = 300;
