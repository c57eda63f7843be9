//! Every bound of what a switch holds: what is within it passes, and who goes beyond it is stopped.
//!
//! Two more are held elsewhere: 1xx answers by `messages`, DATA that is held for a slow client by `windows`.

use http2::error::Reason;
use http2::fields::Fields;
use http2::frame::kind;
use http2::settings::Settings;

use super::end::{Returns, fields};
use super::world::{FINE, MAX_CALLS, OK, World, window};
use crate::limits::{
    ANSWER_BLOCK_MAX, ANSWER_HEAD_MAX, BLOCK_MAX, CLIENT_BYTES, HEAD_MAX, LANE_OUTPUT, LANE_WINDOW,
    ORPHANS_MAX, REPLAY_ALL, REPLAY_BODY, RESETS_REMEMBERED, SPARE_CALLS, TRAILERS_MAX,
};
use crate::{Event, How, Unfit};

const FRAME: [u8; 16_384] = [0; 16_384];

/// A value by which a list becomes as large as `size`.
fn filling(list: &[(&str, &str)], size: usize) -> String {
    let so_far = fields(&[list, &[("x", "")]].concat()).size();
    "0".repeat(size - so_far)
}

/// The reason for which a lane is to be closed.
fn lane_failed(world: &World) -> Option<Reason> {
    world.events.iter().find_map(|event| match event {
        Event::LaneFailed(0, error) => Some(error.reason),
        _ => None,
    })
}

// --- header lists ---

#[test]
fn of_a_requests_head() {
    let mut world = World::plain();
    world.call(0, true);
    world.pump();
    let plain = world.lanes[&0].streams[&1].heads[0].size();
    for beyond in [0, 1] {
        let filling = "0".repeat(HEAD_MAX + beyond - plain - fields(&[("x", "")]).size());
        let call = world.call_with(0, &[("x", &filling)], true);
        world.pump();
        if beyond == 0 {
            assert_eq!(world.lanes[&0].streams[&3].heads[0].size(), HEAD_MAX);
        } else {
            assert_eq!(world.switch.unfit(call), Some(&Unfit::TooLarge(HEAD_MAX + 1)));
            assert!(world.switch.request(call).is_some_and(|kept| kept.size() <= HEAD_MAX));
            assert!(!world.forward(call, 0));
        }
    }
}

#[test]
fn of_trailers() {
    for beyond in [0, 1] {
        let mut world = World::plain();
        let call = world.call(0, false);
        let trailers = fields(&[("x", &filling(&[], TRAILERS_MAX + beyond))]);
        world.client.fields(call, &trailers, true);
        world.pump();
        let passed = world.lanes[&0].streams[&1].trailers.as_ref().map(Fields::size);
        if beyond == 0 {
            assert_eq!(passed, Some(TRAILERS_MAX));
        } else {
            let reason = Reason::ENHANCE_YOUR_CALM;
            assert_eq!((passed, world.reset_of(call)), (None, Some(reason)));
            assert_eq!(world.ended_by(call), Some(How::ClientBreach(reason)));
            world.assert_empty();
        }
    }
}

/// Lists of an answer, each filled up to a size, and how the two sides are told that it was too much.
fn answered(lists: &[(&[(&str, &str)], usize)]) -> [Option<Reason>; 2] {
    let mut world = World::plain();
    let call = world.call(0, true);
    world.pump();
    for (list, size) in lists {
        let filling = filling(list, *size);
        let is_end = list.iter().any(|(name, _)| *name == "grpc-status");
        world.answer(call, 0, &[*list, &[("x", &filling)]].concat(), is_end);
    }
    world.pump();
    [world.lanes[&0].streams[&1].reset, world.reset_of(call)]
}

/// Of heads, of trailers, and of all that comes before a head.
#[test]
fn of_answers() {
    const MAX: usize = ANSWER_HEAD_MAX;
    let too_much = [Some(Reason::ENHANCE_YOUR_CALM), Some(Reason::INTERNAL_ERROR)];
    let interim: &[_] = &[(":status", "103")];
    assert_eq!(answered(&[(&OK, MAX), (&FINE, MAX)]), [None; 2]);
    assert_eq!(answered(&[(&OK, MAX + 1)]), too_much);
    assert_eq!(answered(&[(&OK, MAX), (&FINE, MAX + 1)]), too_much);
    assert_eq!(answered(&[(interim, MAX / 2), (interim, MAX / 2), (&OK, MAX)]), [None; 2]);
    assert_eq!(answered(&[(interim, MAX / 2), (interim, MAX / 2 + 1)]), too_much);
}

#[test]
fn of_a_header_block() {
    let mut world = World::plain();
    world.client.raw(kind::HEADERS, 0, 1, &FRAME);
    for _ in 1..BLOCK_MAX / FRAME.len() {
        world.client.raw(kind::CONTINUATION, 0, 1, &FRAME);
    }
    world.client_speaks();
    assert_eq!(world.error, None);
    world.client.raw(kind::CONTINUATION, 0, 1, b"x");
    world.client_speaks();
    assert_eq!(world.error.map(|error| error.reason), Some(Reason::ENHANCE_YOUR_CALM));

    let mut world = World::plain();
    world.call(0, true);
    world.pump();
    world.lane(0).raw(kind::HEADERS, 0, 1, &FRAME);
    for _ in 1..ANSWER_BLOCK_MAX / FRAME.len() {
        world.lane(0).raw(kind::CONTINUATION, 0, 1, &FRAME);
    }
    world.lane_speaks(0);
    assert_eq!(lane_failed(&world), None);
    world.lane(0).raw(kind::CONTINUATION, 0, 1, b"x");
    world.lane_speaks(0);
    assert_eq!(lane_failed(&world), Some(Reason::ENHANCE_YOUR_CALM));
}

// --- bodies ---

/// Of a client that heeds no window, at an upstream that takes nothing.
#[test]
fn of_requests_that_wait() {
    let mut world = World::new(1, &Settings::default(), &window(0));
    let calls: Vec<u32> = (0..MAX_CALLS).map(|_| world.call(0, false)).collect();
    world.pump();
    let mut most = 0;
    for call in calls.iter().cycle().take(2 * CLIENT_BYTES / FRAME.len()) {
        world.client.raw(kind::DATA, 0, *call, &FRAME);
        world.client_speaks();
        if world.error.is_some() {
            break;
        }
        most = most.max(world.switch.client_held + world.switch.kept);
    }
    assert_eq!(world.error.map(|error| error.reason), Some(Reason::FLOW_CONTROL_ERROR));
    assert!(most <= CLIENT_BYTES && most > CLIENT_BYTES - 2 * REPLAY_ALL, "{most}");
}

/// Of an upstream that heeds no window, once that has grown as far as it may, for a client that takes nothing.
#[test]
fn of_answers_that_wait() {
    const MOST: usize = LANE_WINDOW as usize + (1 << 20);
    let mut world = World::new(1, &window(16 << 20), &Settings::default());
    world.may_promise(0, MOST - LANE_WINDOW as usize);
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &OK, false);
    for _ in 0..8 * MOST / FRAME.len() {
        assert!(world.lane(0).data(1, FRAME.len(), false) > 0);
        world.pump();
        world.client.read_all();
        world.pump();
    }
    world.client.returns = Returns::Never;
    let mut most = 0;
    for _ in 0..2 * MOST / FRAME.len() {
        if lane_failed(&world).is_some() {
            break;
        }
        world.lane(0).raw(kind::DATA, 0, 1, &FRAME);
        world.lane_speaks(0);
        most = most.max(world.switch.answers_held);
    }
    assert_eq!(lane_failed(&world), Some(Reason::FLOW_CONTROL_ERROR));
    // Half of what may be promised is left for those who take less.
    assert!(most <= MOST && most > MOST / 3, "{most}");
}

/// What waits counts for the lane that it came on, so that one is not given away meanwhile.
#[test]
fn a_lane_whose_answers_wait_stays() {
    let mut world = World::new(1, &window(100_000), &Settings::default());
    world.client.returns = Returns::Never;
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &OK, false);
    assert_eq!(world.lane(0).data(1, 60_000, false), 60_000);
    world.pump();
    assert_eq!(world.lane(0).data(1, 10_000, true), 10_000);
    world.pump();
    assert_eq!(world.switch.calls_on(0), 0, "its upstream is done");
    assert!(world.switch.detach_lane(0).is_none());
    world.client.reset(call, Reason::CANCEL);
    world.client_speaks();
    assert!(world.switch.detach_lane(0).is_some());
}

/// Of lanes that are gone, one after the other, for a client that takes nothing.
#[test]
fn of_answers_that_outlive_their_lanes() {
    let mut world = World::new(1, &window(16 << 20), &Settings::default());
    world.client.returns = Returns::Never;
    for _ in 0..8 * ORPHANS_MAX / LANE_WINDOW as usize {
        if world.switch.is_overfull() {
            break;
        }
        let call = world.call(0, true);
        world.pump();
        world.answer(call, 0, &OK, false);
        world.lane(0).data(1, LANE_WINDOW as usize, true);
        world.pump();
        world.end_lane(0, None);
        world.open_lane();
        world.lane(0).settings(&Settings::default());
        world.pump();
    }
    let held = world.switch.answers_held;
    assert!((ORPHANS_MAX..ORPHANS_MAX + 2 * LANE_WINDOW as usize).contains(&held), "{held}");
    assert!(world.switch.is_overfull());
    // It takes all, and calls go on.
    world.client.grant(0, held as u32);
    world.pump();
    assert!(!world.switch.is_overfull());
}

/// Lists are no part of windows; they count all the same.
#[test]
fn of_lists_that_wait() {
    let mut world = World::plain();
    let long = "0".repeat(10_000);
    let call = world.call_with(0, &[("x", &long)], true);
    world.pump();
    assert!(world.switch.held() > 10_000, "its head is kept");
    world.client.returns = Returns::Never;
    world.answer(call, 0, &OK, false);
    world.lane(0).data(1, 65_535, false);
    world.pump();
    assert_eq!(world.switch.held(), 0);
    let more = world.call(0, true);
    world.pump();
    world.answer(more, 0, &OK, false);
    world.lane(0).data(3, 1, false);
    world.answer(more, 0, &[("grpc-status", "0"), ("x", &long)], true);
    world.pump();
    assert!(world.switch.held() > 10_000, "its trailers wait");
    world.client.reset(more, Reason::CANCEL);
    world.pump();
    assert_eq!(world.switch.held(), 0);
}

#[test]
fn of_bodies_that_are_kept_to_be_sent_again() {
    const MOST: usize = REPLAY_ALL / REPLAY_BODY;
    let mut world = World::plain();
    world.switch.limits.max_calls = 2 * MOST as u32;
    let calls: Vec<u32> = (0..=MOST).map(|_| world.call(0, false)).collect();
    for call in &calls {
        world.client.data(*call, REPLAY_BODY, false);
        world.pump();
        assert!(world.switch.kept <= REPLAY_ALL);
    }
    assert_eq!(world.switch.kept, REPLAY_ALL);
    // One more, of which nothing could be kept.
    let last = world.stream_on(calls[MOST], 0);
    world.lane(0).reset(last, Reason::REFUSED_STREAM);
    world.pump();
    assert_eq!(world.ended_by(calls[MOST]), Some(How::Refused));
}

// --- calls and streams ---

/// Calls that are over for their client do not count, though their upstream still reads; but there are twice as many at
/// most.
#[test]
fn of_calls_that_an_upstream_still_reads() {
    let mut world = World::new(1, &Settings::default(), &window(0));
    let mut call = 0;
    for nth in 0..=2 * MAX_CALLS {
        call = world.call(0, false);
        world.client.data(call, 1, true);
        world.pump();
        if nth < 2 * MAX_CALLS {
            world.answer(call, 0, &OK, true);
            world.pump();
        }
    }
    assert_eq!(world.switch.calls(), 2 * MAX_CALLS as usize);
    assert_eq!(world.reset_of(call), Some(Reason::REFUSED_STREAM));
}

#[test]
fn of_streams_whose_end_is_remembered() {
    let mut world = World::plain();
    for _ in 0..=RESETS_REMEMBERED {
        let call = world.call(0, false);
        world.pump();
        let stream = world.stream_on(call, 0);
        world.lane(0).reset(stream, Reason::CANCEL);
        world.pump();
        // So that looking for them does not take long.
        world.lane(0).streams.clear();
    }
    assert_eq!(world.switch.resets.len(), RESETS_REMEMBERED);
    for (late, error) in [(3, None), (1, Some(Reason::STREAM_CLOSED))] {
        world.client.fields(late, &fields(&[("t", "1")]), true);
        world.client_speaks();
        assert_eq!(world.error.map(|error| error.reason), error);
    }
}

#[test]
fn of_calls_whose_memory_is_kept() {
    let mut world = World::plain();
    let calls: Vec<u32> = (0..MAX_CALLS).map(|_| world.call(0, true)).collect();
    world.pump();
    calls.iter().for_each(|call| world.answer(*call, 0, &OK, true));
    world.pump();
    assert_eq!(world.switch.spare.len(), SPARE_CALLS);
}

// --- what is to be written ---

/// Beyond it, a lane gets no new calls until it is read.
#[test]
fn of_what_waits_to_be_written_to_a_lane() {
    let mut world = World::plain();
    let mut calls = 0;
    while world.switch.has_room(0) {
        let waits = world.switch.lane_waits_for(0).0;
        assert!(waits < LANE_OUTPUT, "{waits}");
        world.call_with(0, &[("x", &"0".repeat(50_000))], true);
        world.client_speaks();
        calls += 1;
    }
    assert!(calls > 1 && world.switch.lane_waits_for(0).0 >= LANE_OUTPUT);
    world.pump();
    assert!(world.switch.has_room(0));
}
