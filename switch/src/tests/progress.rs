//! What an owner may ask of a call that runs: how far it is, and whom it waits for.

use super::world::{FINE, OK, World, window};
use crate::Stall;

const FIRST: usize = 65_535;

/// What a call waits for now, and what has passed of it.
fn look(world: &World, call: u32) -> ((u64, u64), Option<Stall>) {
    let progress = world.switch.progress(call).expect("a call of an upstream");
    (progress.bytes, progress.waits_for)
}

#[test]
fn a_call_waits_for_whoever_opens_no_window() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    assert_eq!(look(&world, call), ((0, 0), None));
    assert!(!world.answered.contains(&call));
    world.answer(call, 0, &OK, false);
    world.pump();
    assert!(world.answered.contains(&call));
    let stream = world.stream_on(call, 0);
    assert_eq!(world.lane(0).data(stream, FIRST, false), FIRST);
    world.pump();
    assert_eq!(look(&world, call), ((0, FIRST as u64), Some(Stall::Client)));
    world.client.read_all();
    world.pump();
    assert_eq!(look(&world, call).1, None);
    assert_eq!(world.client.data(call, FIRST, false), FIRST);
    world.pump();
    assert_eq!(look(&world, call), ((FIRST as u64, FIRST as u64), Some(Stall::Upstream)));
    world.lane(0).read_all();
    world.pump();
    assert_eq!(look(&world, call).1, None);
    world.client.data(call, 0, true);
    world.answer(call, 0, &FINE, true);
    world.pump();
    assert_eq!(world.switch.progress(call), None);
}

#[test]
fn a_call_waits_for_a_link_that_takes_nothing() {
    let mut world = World::new(1, &window(1 << 20), &window(1 << 20));
    let call = world.call(0, false);
    world.pump();
    // What is to be written to the lane stays where it is.
    while world.client.data(call, 10_000, false) > 0 {
        while world.client_speaks() | world.client_hears() {}
    }
    assert_eq!(look(&world, call).1, Some(Stall::Link));
}

#[test]
fn an_owner_that_answers_itself_is_not_told() {
    let mut world = World::plain();
    world.forwards = false;
    let call = world.call(0, true);
    world.pump();
    assert_eq!(world.switch.progress(call), None, "nobody has it yet");
    world.switch.answer(call, &super::end::fields(&[(":status", "502")]), bytes::Bytes::new());
    world.pump();
    assert!(!world.answered.contains(&call));
}
