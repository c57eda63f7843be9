//! How calls end, by whom, and what each side hears of it.

use bytes::Bytes;
use http2::error::Reason;
use http2::settings::Settings;

use super::end::{Got, fields};
use super::world::{FINE, OK, World, window};
use crate::{Event, How};

#[test]
fn codes_of_a_client_pass() {
    let passed = [
        (Reason::CANCEL, Reason::CANCEL),
        (Reason::NO_ERROR, Reason::NO_ERROR),
        (Reason::PROTOCOL_ERROR, Reason::CANCEL),
        (Reason::FLOW_CONTROL_ERROR, Reason::CANCEL),
        (Reason(77), Reason::CANCEL),
    ];
    let mut world = World::plain();
    for (said, heard) in passed {
        let call = world.call(0, false);
        world.client.data(call, 10, false);
        world.pump();
        let stream = world.stream_on(call, 0);
        world.client.reset(call, said);
        world.pump();
        assert_eq!(world.lanes[&0].streams[&stream].reset, Some(heard));
        assert_eq!(world.ended_by(call), Some(How::ClientReset(said)));
    }
    world.assert_empty();
}

#[test]
fn codes_of_an_upstream_pass() {
    let passed = [
        (Reason::CANCEL, Reason::CANCEL),
        (Reason::NO_ERROR, Reason::INTERNAL_ERROR),
        (Reason::ENHANCE_YOUR_CALM, Reason::ENHANCE_YOUR_CALM),
        (Reason::INTERNAL_ERROR, Reason::INTERNAL_ERROR),
        (Reason::PROTOCOL_ERROR, Reason::INTERNAL_ERROR),
        (Reason::FLOW_CONTROL_ERROR, Reason::INTERNAL_ERROR),
        (Reason::FRAME_SIZE_ERROR, Reason::INTERNAL_ERROR),
        (Reason::COMPRESSION_ERROR, Reason::INTERNAL_ERROR),
        (Reason::SETTINGS_TIMEOUT, Reason::INTERNAL_ERROR),
    ];
    let mut world = World::plain();
    for (said, heard) in passed {
        for answers in [false, true] {
            let call = world.call(0, false);
            world.pump();
            if answers {
                world.answer(call, 0, &OK, false);
                world.pump();
            }
            let stream = world.stream_on(call, 0);
            world.lane(0).reset(stream, said);
            world.pump();
            assert_eq!(world.reset_of(call), Some(heard));
            assert_eq!(world.ended_by(call), Some(How::UpstreamReset(heard)));
            // What the client still sends is no breach.
            world.client.data(call, 100, true);
            world.pump();
        }
    }
    assert_eq!(world.error, None);
    world.assert_empty();
}

#[test]
fn an_upstream_that_wants_no_more_of_the_request() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.client.data(call, 1000, false);
    world.pump();
    world.answer(call, 0, &OK, false);
    world.lane(0).data(1, 70_000, false);
    world.answer(call, 0, &FINE, true);
    world.lane(0).reset(1, Reason::NO_ERROR);
    world.pump();
    let stream = &world.client.streams[&call];
    assert!(stream.ended && stream.came == 65_535);
    assert_eq!(stream.reset, Some(Reason::NO_ERROR));
    let last = &world.client.got[world.client.got.len() - 2..];
    assert_eq!(last, [Got::End(call), Got::Reset(call, Reason::NO_ERROR)]);
    assert_eq!(world.ended_by(call), Some(How::Complete));
    world.assert_empty();
}

/// A call, of whose answer so much was sent, more than the client's connection has room for before it reads; `end`: the
/// request is complete.
fn half_heard(end: bool) -> (World, u32, u64) {
    let mut world = World::new(1, &window(200_000), &Settings::default());
    world.client.returns = super::end::Returns::OnRead;
    let call = world.call(0, end);
    world.pump();
    world.answer(call, 0, &OK, false);
    let mut sent = 0;
    for _ in 0..2 {
        sent += world.lane(0).data(1, 50_000, false) as u64;
        world.pump();
    }
    assert!(sent > 90_000);
    (world, call, sent)
}

/// What it has said of the request is not forgotten with its lane, while the client has no room for the answer's rest.
#[test]
fn an_upstream_that_wants_no_more_of_the_request_and_goes() {
    let (mut world, call, sent) = half_heard(false);
    world.answer(call, 0, &FINE, true);
    world.lane(0).reset(1, Reason::PROTOCOL_ERROR);
    world.pump();
    world.end_lane(0, None);
    world.pump();
    assert!(!world.client.streams[&call].ended);
    world.client.read_all();
    world.pump();
    assert_eq!(world.client.streams[&call].came, sent);
    assert_eq!(world.reset_of(call), Some(Reason::INTERNAL_ERROR));
    world.assert_empty();
}

#[test]
fn a_reset_comes_behind_what_was_sent_before() {
    let (mut world, call, sent) = half_heard(true);
    world.lane(0).reset(1, Reason::CANCEL);
    world.pump();
    assert_eq!(world.client.streams[&call].came, 65_535);
    assert_eq!(world.reset_of(call), None);
    world.client.read_all();
    world.pump();
    assert_eq!(world.client.streams[&call].came, sent);
    assert_eq!(world.reset_of(call), Some(Reason::CANCEL));
    world.assert_empty();
}

/// What the client has made its window too small for would never go: the reset does.
#[test]
fn a_reset_does_not_wait_for_a_window() {
    let mut world = World::new(1, &window(50_000), &Settings::default());
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &OK, false);
    world.lane(0).acknowledges = false;
    world.client.settings(&window(20_000));
    world.client_speaks();
    world.lane(0).data(1, 40_000, false);
    world.lane(0).reset(1, Reason::CANCEL);
    world.pump();
    assert_eq!(world.client.streams[&call].came, 20_000);
    assert_eq!(world.reset_of(call), Some(Reason::CANCEL));
    world.assert_empty();
}

#[test]
fn an_owner_breaks_calls_off() {
    let mut world = World::plain();
    for answers in [false, true] {
        let call = world.call(0, false);
        world.client.data(call, 10, false);
        world.pump();
        let stream = world.stream_on(call, 0);
        if answers {
            world.answer(call, 0, &OK, false);
            world.pump();
        }
        world.switch.reset(call, Reason::INTERNAL_ERROR);
        world.pump();
        assert_eq!(world.reset_of(call), Some(Reason::INTERNAL_ERROR));
        assert_eq!(world.lanes[&0].streams[&stream].reset, Some(Reason::CANCEL));
        assert_eq!(world.ended_by(call), Some(How::Answered));
    }
    world.assert_empty();
}

#[test]
fn an_owner_answers_calls() {
    let mut world = World::plain();
    world.forwards = false;
    let head = fields(&[(":status", "200"), ("grpc-status", "8"), ("hub-reason", "limit")]);
    for (body, forwards) in [(0, false), (100_000, false), (0, true), (100_000, true)] {
        world.forwards = forwards;
        let call = world.call(0, false);
        world.client.data(call, 1000, false);
        world.pump();
        let body = super::end::content(call, false, 0, body);
        world.switch.answer(call, &head, body.clone());
        assert!(!world.forward(call, 0), "an answered call waits no more");
        world.pump();
        world.client.read_all();
        world.pump();
        let stream = &world.client.streams[&call];
        assert_eq!(stream.heads[0].get(b"hub-reason"), Some(&b"limit"[..]));
        assert_eq!((stream.came, stream.ended), (body.len() as u64, true));
        assert_eq!(stream.reset, Some(Reason::NO_ERROR));
        assert_eq!(world.ended_by(call), Some(How::Answered));
        if forwards {
            let stream = world.stream_on(call, 0);
            assert_eq!(world.lanes[&0].streams[&stream].reset, Some(Reason::CANCEL));
        }
    }
    world.assert_empty();
}

#[test]
fn a_call_that_waits_is_reset() {
    let mut world = World::plain();
    world.forwards = false;
    let call = world.call(0, false);
    world.client.data(call, 5000, false);
    world.client.reset(call, Reason::CANCEL);
    world.pump();
    assert_eq!(world.events, [Event::Call(call)]);
    assert_eq!(world.ended_by(call), Some(How::ClientReset(Reason::CANCEL)));
    assert!(!world.forward(call, 0));
    world.assert_empty();
}

#[test]
fn frames_that_come_late_are_no_breach() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    world.lane(0).reset(1, Reason::CANCEL);
    world.lane_speaks(0);
    world.client.data(call, 40_000, false);
    world.client.fields(call, &fields(&[("t", "1")]), true);
    world.client_speaks();
    world.client.grant(call, 5);
    world.pump();
    assert_eq!((world.error, world.switch.calls()), (None, 0));
    assert_eq!(world.client.send, (1 << 20) - 40_000, "lazily given back");
    // The other way: the upstream sends what the client does not want any more.
    let call = world.call(0, false);
    world.pump();
    world.client.reset(call, Reason::CANCEL);
    world.client_speaks();
    world.answer(call, 0, &OK, false);
    world.lane(0).data(3, 60_000, false);
    world.answer(call, 0, &FINE, true);
    world.lane(0).grant(3, 5);
    world.pump();
    assert!(!world.events.iter().any(|event| matches!(event, Event::LaneFailed(..))));
    world.assert_empty();
}

#[test]
fn an_upload_goes_on_behind_a_complete_answer_while_it_moves() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    world.answer(call, 0, &OK, true);
    world.pump();
    assert_eq!(world.ended_by(call), Some(How::Complete));
    world.switch.sweep();
    world.client.data(call, 10, false);
    world.pump();
    assert_eq!(world.lanes[&0].streams[&1].came, 10, "nobody has had time to send");
    world.switch.sweep();
    world.pump();
    assert_eq!(world.reset_of(call), None);
    world.switch.sweep();
    world.pump();
    assert_eq!(world.reset_of(call), Some(Reason::NO_ERROR));
    assert_eq!(world.lanes[&0].streams[&1].reset, Some(Reason::CANCEL));
    world.assert_empty();
}

#[test]
fn a_client_that_goes_takes_its_calls_with_it() {
    let mut world = World::plain();
    let calls = [world.call(0, false), world.call(0, true)];
    world.client.data(calls[0], 10, false);
    world.pump();
    world.switch.client_gone();
    world.on_events();
    world.lane_hears(0);
    for stream in [1, 3] {
        assert_eq!(world.lanes[&0].streams[&stream].reset, Some(Reason::CANCEL));
    }
    // What it says afterwards is not kept.
    world.client.data(calls[0], 10, false);
    world.client_speaks();
    assert_eq!(world.switch.client.input.len(), 0);
    world.switch.answer(calls[0], &fields(&OK), Bytes::new());
    world.assert_empty();
}
