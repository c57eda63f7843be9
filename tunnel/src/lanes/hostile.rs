//! A mux whose peer says anything at all, and what holds nevertheless.
//!
//! A script of bytes says what the peer and this end's users do.

use std::io::IoSlice;

use bytes::Bytes;
use tokio::io::ReadBuf;

use super::frame::{Frame, Open, ResetCode, Source};
use super::memory::LaneMemory;
use super::mux::{Event, Mux};
use super::role::Role;
use crate::limits::{LANE_CREDIT_GROWN, LANE_DATA_MAX, LANE_QUEUE};

const MAX_LANES: usize = 3;

/// Plays the script: to an agent if its first byte is odd, else to a hub. Whether the peer broke no rule.
///
/// # Panics
/// Something does not hold.
pub fn run(script: &[u8]) -> bool {
    let Some((first, mut script)) = script.split_first() else {
        return true;
    };
    let role = if first & 1 == 0 { Role::Hub } else { Role::Agent { max_lanes: MAX_LANES } };
    let mut mux = Mux::new(role, LaneMemory::ample());
    let mut lanes: Vec<u32> = (0..3)
        .filter_map(|source| mux.open(Open { source: Source(source), ..Open::default() }))
        .collect();
    while let Some((&op, rest)) = script.split_first() {
        script = rest;
        if op & 1 == 0 {
            let message = message(op, &mut script);
            match mux.receive(message) {
                Ok((id, Event::Opened(_))) => lanes.push(id),
                Ok(_) => {}
                // The session is over.
                Err(_) => return false,
            }
        } else {
            act(&mut mux, op, &lanes);
        }
        check(&mux, &lanes, role);
    }
    true
}

/// What the peer says: mostly a frame of a known kind, of a lane that there may be.
fn message(op: u8, script: &mut &[u8]) -> Bytes {
    let mut take = |bytes: usize| {
        let (taken, rest) = script.split_at(bytes.min(script.len()));
        *script = rest;
        taken
    };
    if op & 0x80 != 0 {
        return Bytes::copy_from_slice(take(usize::from(op & 0x7f)));
    }
    let head = [op >> 1 & 7, 0, 0, 0, op >> 4];
    match head[0] {
        0 => [&head[..], &vec![1; LANE_DATA_MAX >> (op >> 6 << 2)]].concat().into(),
        1 => [&head[..], take(11)].concat().into(),
        2 | 5 => [&head[..], take(4)].concat().into(),
        3 => [&head[..], &[0; 8][..if op & 0x40 == 0 { 8 } else { 0 }]].concat().into(),
        _ => [&head[..], take(9)].concat().into(),
    }
}

/// What this end's users do.
fn act(mux: &mut Mux, op: u8, lanes: &[u32]) {
    let Some(&id) = lanes.get(usize::from(op >> 5) % lanes.len().max(1)) else {
        return;
    };
    match op >> 1 & 0xf {
        0..=3 => drop(mux.write(id, &[IoSlice::new(&[0; 30_000])])),
        4..=6 => {
            let mut space = [0; 40_000];
            mux.read(id, &mut ReadBuf::new(&mut space));
        }
        7..=10 => {
            let Some((message, _)) = mux.next_message() else {
                return;
            };
            assert!(Frame::read(message.into()).is_ok(), "no frame of ours");
        }
        11 => mux.finish(id),
        12 => mux.reset(id, ResetCode::Closed, ""),
        13 => mux.abandon(id),
        14 => mux.sweep(),
        _ => mux.delivered(id, 1000),
    }
}

/// What is kept is bounded.
fn check(mux: &Mux, lanes: &[u32], role: Role) {
    assert!(role == Role::Hub || mux.len() <= MAX_LANES);
    for account in lanes.iter().filter_map(|id| mux.account(*id)) {
        assert!(account.granted as usize + account.unread <= LANE_CREDIT_GROWN as usize);
        assert!(account.queued <= LANE_QUEUE);
    }
    assert!(lanes.iter().all(|id| mux.readable(*id) <= LANE_CREDIT_GROWN as usize));
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_peer_says_is_borne_or_refused(script in vec(any::<u8>(), 0..200)) {
            run(&script);
        }
    }
}
