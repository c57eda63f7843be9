//! Limits of what is counted, logged and shown.

use std::time::Duration;

use super::KIB;

/// Names that have series of their own among the metrics, of some 40 each: a scrape of all of them is of 4 MiB. Default of
/// `--metrics-names`.
pub const METRICS_NAMES: usize = 1000;
/// Methods of one name that are counted one by one: services have some ten, and callers choose what they call.
pub const METHODS_OF_NAME: usize = 50;
/// Methods of all names together: half a KiB each.
pub const METHODS_OF_ALL: usize = 20_000;
/// Bytes of a method that is counted by itself.
pub const METHOD_LEN: usize = 256;
/// How often what runs is looked at, to count what has passed of it, and whom it waits for. A thousand calls that run are looked
/// at in some tens of microseconds.
pub const CALLS_LOOK: Duration = Duration::from_secs(1);
/// Names on a page of a list that says nothing of how many it wants: more than a screen shows.
pub const NAMES_PAGE: usize = 100;
/// At most: some 300 KiB.
pub const NAMES_PAGE_MAX: usize = 500;
/// Agents that are told of one name.
pub const NAME_AGENTS: usize = 100;
/// How old what the page is told of all names may be. However many look, it is put together once in this time.
pub const OVERVIEW_AGE: Duration = Duration::from_secs(1);
/// Lines of the access log on their way to the disk: 4 MiB. A disk that stands still for a tenth of a second loses none, at 50,000
/// calls a second.
pub const ACCESS_LOG_LINES: usize = 8192;
/// Bytes that are written to it at once.
pub const ACCESS_LOG_BUFFER: usize = 64 * KIB as usize;
/// Time that a collector has to take a lot of spans. What comes meanwhile waits, 2,048 at most (the SDK's default), and is lost
/// beyond.
pub const SPANS_EXPORT: Duration = Duration::from_secs(5);
