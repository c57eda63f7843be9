//! Calls that were never processed are sent once more; what may have been is not.

use http2::error::Reason;
use http2::settings::Settings;

use super::end::{Returns, fields};
use super::world::{OK, World, window};
use crate::{Event, How};

fn returned(world: &World, call: u32) -> usize {
    world.events.iter().filter(|event| **event == Event::Returned(call)).count()
}

/// A lane more, whose upstream has greeted.
fn another(world: &mut World) -> usize {
    let lane = world.open_lane();
    world.lane(lane).settings(&Settings::default());
    world.pump();
    lane
}

#[test]
fn a_refused_call_is_sent_again_twice_at_most() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.client.data(call, 10_000, true);
    world.pump();
    for tries in 1..=3 {
        let stream = world.stream_on(call, 0);
        assert_eq!((world.lanes[&0].streams[&stream].came, tries), (10_000, tries));
        world.lane(0).reset(stream, Reason::REFUSED_STREAM);
        world.pump();
        assert_eq!(returned(&world, call), tries.min(2));
        assert_eq!(world.forward(call, 0), tries < 3);
        world.pump();
    }
    assert_eq!(world.reset_of(call), Some(Reason::REFUSED_STREAM));
    assert_eq!(world.ended_by(call), Some(How::Refused));
    world.assert_empty();
}

#[test]
fn a_body_that_is_not_kept_is_not_sent_again() {
    let mut world = World::plain();
    for (len, again) in [(16_384, true), (16_385, false)] {
        let call = world.call(0, false);
        world.client.data(call, len, false);
        world.pump();
        let stream = world.stream_on(call, 0);
        world.lane(0).reset(stream, Reason::REFUSED_STREAM);
        world.pump();
        assert_eq!(returned(&world, call), usize::from(again));
        assert_eq!(world.forward(call, 0), again);
        world.client.data(call, if again { 100 } else { 0 }, true);
        world.pump();
        if again {
            let stream = world.stream_on(call, 0);
            assert_eq!(world.lanes[&0].streams[&stream].came, len as u64 + 100);
            world.answer(call, 0, &OK, true);
            world.pump();
        } else {
            assert_eq!(world.reset_of(call), Some(Reason::REFUSED_STREAM));
        }
    }
    world.assert_empty();
}

/// Of a request that the first upstream had no window for nothing is lost, its trailers neither.
#[test]
fn trailers_are_sent_again() {
    let mut world = World::new(2, &Settings::default(), &window(0));
    let call = world.call(0, false);
    world.client.data(call, 20_000, false);
    world.client.fields(call, &fields(&[("t", "1")]), true);
    world.pump();
    world.lane(0).reset(1, Reason::REFUSED_STREAM);
    world.pump();
    assert!(world.forward(call, 1));
    world.pump();
    world.lane(1).grant(1, 20_000);
    world.pump();
    let upstream = &world.lanes[&1].streams[&1];
    assert_eq!(upstream.came, 20_000);
    assert!(upstream.trailers.is_some());
}

#[test]
fn an_answered_call_is_not_sent_again() {
    let mut world = World::plain();
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &OK, false);
    world.lane(0).reset(1, Reason::REFUSED_STREAM);
    world.pump();
    assert_eq!(returned(&world, call), 0);
    assert_eq!(world.reset_of(call), Some(Reason::REFUSED_STREAM));
    world.assert_empty();
}

#[test]
fn a_goaway_gives_back_what_was_not_seen() {
    for (reason, again) in [(Reason::NO_ERROR, true), (Reason::ENHANCE_YOUR_CALM, false)] {
        let mut world = World::plain();
        let calls: Vec<u32> = (0..4).map(|_| world.call(0, true)).collect();
        world.pump();
        // What has an answer was seen, whatever is said.
        world.answer(calls[3], 0, &OK, false);
        world.lane(0).goaway(u32::MAX >> 1, Reason::NO_ERROR);
        world.pump();
        assert!(!world.switch.has_room(0) && world.switch.calls_on(0) == 4);
        world.lane(0).goaway(5, Reason::NO_ERROR);
        world.lane(0).goaway(3, reason);
        world.pump();
        let goaways = world.events.iter().filter(|event| matches!(event, Event::Goaway { .. }));
        assert_eq!(goaways.count(), 3);
        assert_eq!(returned(&world, calls[2]), usize::from(again));
        let refused = (!again).then_some(Reason::REFUSED_STREAM);
        assert_eq!(world.reset_of(calls[2]), refused);
        assert_eq!(world.switch.calls_on(0), 3);
        for call in [calls[0], calls[1]] {
            world.answer(call, 0, &OK, true);
        }
        world.lane(0).data(7, 10, true);
        world.pump();
        assert!([0, 1, 3].iter().all(|call| world.client.streams[&calls[*call]].ended));
        assert_eq!(world.events.last(), Some(&Event::LaneRoom(0)), "it is idle");
    }
}

#[test]
fn what_was_not_delivered_is_sent_again() {
    let mut world = World::plain();
    let first = world.call(0, true);
    world.pump();
    let delivered = world.switch.lane(0).map(|lane| lane.link.written);
    let second = world.call(0, true);
    world.pump();
    // This one has not even left the hub.
    let third = world.call(0, true);
    world.client_speaks();
    world.end_lane(0, delivered);
    assert_eq!(world.events.iter().filter(|event| **event == Event::Lost(first)).count(), 1);
    assert_eq!([returned(&world, second), returned(&world, third)], [1, 1]);
    let lane = another(&mut world);
    assert!(world.forward(second, lane) && world.forward(third, lane));
    world.pump();
    world.answer(third, lane, &OK, true);
    let fourth = world.call(lane, true);
    world.client_speaks();
    world.lane_speaks(lane);
    world.end_lane(lane, None);
    assert!(world.events.contains(&Event::Lost(second)));
    assert_eq!(returned(&world, fourth), 1, "it was not written");
    world.pump();
    assert!(world.client.streams[&third].ended);
    for call in [first, second] {
        world.switch.answer(call, &fields(&[(":status", "502")]), bytes::Bytes::new());
    }
    world.switch.reset(fourth, Reason::CANCEL);
    world.pump();
    world.assert_empty();
}

#[test]
fn a_lane_that_was_never_reached_gives_its_calls_back_as_often_as_it_takes() {
    let mut world = World::plain();
    world.forwards = false;
    let call = world.call(0, false);
    world.client.data(call, 100, false);
    world.pump();
    for _ in 0..5 {
        let lane = world.open_lane();
        world.lane(lane).acknowledges = false;
        world.lane(lane).returns = Returns::Never;
        assert!(world.forward(call, lane));
        world.pump();
        world.end_lane(lane, Some(0));
    }
    assert!(world.forward(call, 0));
    world.pump();
    assert_eq!(world.lanes[&0].streams[&1].came, 100);
}

/// A lane whose upstream has not spoken is sent no more of a body than is kept: so a larger one is lost by none.
#[test]
fn a_lane_that_was_never_reached_gives_larger_bodies_back_too() {
    let mut world = World::plain();
    world.forwards = false;
    let call = world.call(0, false);
    world.pump();
    let lane = world.open_lane();
    world.lane(lane).acknowledges = false;
    world.lane(lane).returns = Returns::Never;
    assert!(world.forward(call, lane));
    world.client.data(call, 16_384, false);
    world.pump();
    world.client.data(call, 10_000, false);
    world.client.fields(call, &fields(&[("t", "1")]), true);
    world.pump();
    assert_eq!(world.lanes[&lane].streams[&1].came, 16_384);
    world.end_lane(lane, Some(0));
    assert_eq!(returned(&world, call), 1);
    assert!(world.forward(call, 0));
    world.pump();
    let upstream = &world.lanes[&0].streams[&1];
    assert_eq!(upstream.came, 26_384);
    assert!(upstream.trailers.is_some());
    world.answer(call, 0, &OK, true);
    world.pump();
    world.assert_empty();
}

#[test]
fn a_lost_answer_ends_with_trailers_behind_what_was_sent() {
    let mut world = World::new(1, &window(100_000), &Settings::default());
    world.client.returns = Returns::OnRead;
    let call = world.call(0, false);
    world.pump();
    world.answer(call, 0, &OK, false);
    for _ in 0..2 {
        world.lane(0).data(1, 40_000, false);
        world.pump();
    }
    world.end_lane(0, None);
    assert_eq!(world.events.last(), Some(&Event::Lost(call)));
    world.switch.end_with(call, &fields(&[("grpc-status", "14"), ("hub-reason", "session-lost")]));
    world.pump();
    assert_eq!(world.client.streams[&call].came, 65_535);
    world.client.read_all();
    world.pump();
    let stream = &world.client.streams[&call];
    assert_eq!((stream.came, stream.ended), (80_000, true));
    assert!(stream.trailers.as_ref().is_some_and(|trailers| trailers.get(b"hub-reason").is_some()));
    assert_eq!(stream.reset, Some(Reason::NO_ERROR));
    world.assert_empty();
}

#[test]
fn an_upstream_takes_no_more_streams_than_it_says() {
    let mut world = World::plain();
    let most = Settings { max_concurrent_streams: Some(2), ..Settings::default() };
    world.lane(0).settings(&most);
    world.pump();
    let calls: Vec<u32> = (0..3).map(|_| world.call(0, true)).collect();
    world.pump();
    assert_eq!((world.switch.calls_on(0), world.switch.max_streams(0)), (2, 2));
    assert!(!world.switch.has_room(0) && !world.forward(calls[2], 0));
    world.events.clear();
    world.lane(0).reset(1, Reason::REFUSED_STREAM);
    world.pump();
    assert!(world.events.contains(&Event::LaneRoom(0)));
    assert!(world.forward(calls[2], 0) && !world.forward(calls[0], 0));
    world.pump();
    world.answer(calls[1], 0, &OK, true);
    world.pump();
    assert!(world.forward(calls[0], 0));
}
