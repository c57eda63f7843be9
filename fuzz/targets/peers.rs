//! What another hub tells of its agents: whatever it is, they are there as it was told last, and gone with it.
//!
//! Input: messages, each behind a byte that says how long it is.
#![no_main]

use fuzz::run;
use hub::fuzzing::peer_tells;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut rest, mut messages) = (data, Vec::new());
    while let Some((len, after)) = rest.split_first() {
        let (message, after) = after.split_at(after.len().min(usize::from(*len)));
        messages.push(message);
        rest = after;
    }
    run(async { peer_tells(&messages) });
});
