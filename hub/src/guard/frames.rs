//! What frames cost whoever has to deal with them.

use http2::frame::{Head, flag, kind};
use tunnel::limits::SMALL_FRAME;

use crate::limits::WORK_PER_HEAD_BYTE;

/// DATA that costs more to pass on than its bytes, and more of the same may follow.
pub(crate) fn is_small_data(head: Head) -> bool {
    head.kind == kind::DATA && head.len < SMALL_FRAME && !head.has(flag::END_STREAM)
}

/// What HEADERS or CONTINUATION cost of a turn, to be decoded.
pub(crate) fn head_work(head: Head) -> usize {
    head.len * WORK_PER_HEAD_BYTE
}

/// DATA that says nothing: no byte, no padding, not the end.
pub(crate) fn is_idle_data(head: Head) -> bool {
    let nothing = head.len == 0 && !head.has(flag::END_STREAM) && !head.has(flag::PADDED);
    head.kind == kind::DATA && nothing
}
