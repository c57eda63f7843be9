//! Every limit of the client that is no other program's, with its reason.

use std::time::Duration;

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
